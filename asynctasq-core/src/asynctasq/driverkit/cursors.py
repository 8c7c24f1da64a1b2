"""Cursors of listings: the place at which the next page begins, as a text that operators can pass on."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from asynctasq.errors import InvalidCursor

Position: TypeAlias = Sequence[int | float | str | bytes | None]
"""Values by which a listing is ordered, of the last message of a page."""


def pack_cursor(listing: str, position: Position) -> str:
    """Return a position as a cursor.

    Args:
        listing: name of the listing, in letters; a cursor of another listing is refused.
        position: the values by which the listing is ordered.
    """
    return ".".join((listing, *map(_pack, position)))


def unpack_cursor(
    listing: str, cursor: str, *, length: int
) -> list[int | float | str | bytes | None]:
    """Return the position that `pack_cursor` made a cursor of.

    Args:
        listing: as it was given to `pack_cursor`.
        cursor: from a `Page`.
        length: the number of values in a position.

    Raises:
        InvalidCursor: it is not a cursor of this listing.
    """
    made_for, *parts = cursor.split(".")
    if made_for == listing and len(parts) == length:
        with suppress(ValueError):
            return [_unpack(part) for part in parts]
    raise InvalidCursor(
        f"The cursor must come from a `Page` of the same listing, got {cursor!r}. Leave it out to begin "
        f"with the first page."
    )


def _pack(value: float | str | bytes | None) -> str:
    if value is None:
        return "n"
    if isinstance(value, bytes):
        return f"x{value.hex()}"
    if isinstance(value, str):
        return f"t{value.encode('utf-8', 'surrogatepass').hex()}"
    if isinstance(value, int):
        return f"i{int(value)}"
    return f"f{value!r}".replace(".", "_")


def _unpack(text: str) -> int | float | str | bytes | None:
    kind, rest = text[:1], text[1:]
    if text == "n":
        return None
    if kind == "x":
        return bytes.fromhex(rest)
    if kind == "t":
        return bytes.fromhex(rest).decode("utf-8", "surrogatepass")
    if kind == "i" and -(1 << 63) <= int(rest) < 1 << 63:
        return int(rest)
    if kind == "f":
        return float(rest.replace("_", "."))
    raise ValueError(text)
