"""IDs that begin or end with some digits, for `SupportsInspect.match_ids`."""

import re
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Page, SupportsInspect
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.message import State

_PART = re.compile(r"[0-9a-f]{4,31}")
_STATES = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING, State.DEAD)
"""States in the order in which messages pass through them, so that one that moves is seen once at least."""
_AT_ONCE = 1000


def check_id_part(part: str) -> str:
    """Return the digits of a part of an ID.

    Raises:
        ValueError: it is not 4 to 31 lowercase hexadecimal digits.
    """
    if _PART.fullmatch(part) is None:
        raise ValueError(f"part must be 4 to 31 lowercase hexadecimal digits, got {part!r}.")
    return part


def has_id_part(message_id: bytes, part: str) -> bool:
    """Check whether the digits of an ID begin or end with a part."""
    digits = message_id.hex()
    return digits.startswith(part) or digits.endswith(part)


def id_range(part: str) -> tuple[bytes, bytes]:
    """Return the lowest and the highest ID that begin with a part."""
    return bytes.fromhex(part.ljust(32, "0")), bytes.fromhex(part.ljust(32, "f"))


async def match_by_browsing(
    driver: SupportsInspect, part: str, *, limit: int, cursor: str | None
) -> Page[bytes]:
    """Return a page of IDs that begin or end with a part, for drivers that have no better way.

    It reads the messages of one page of `browse`.

    Args:
        driver: the driver whose `match_ids` this is.
        part: as for `match_ids`.
        limit: as for `match_ids`.
        cursor: as for `match_ids`.

    Raises:
        ValueError: the part is not valid.
        DriverError: the cursor is not valid.
    """
    check_id_part(part)
    number, inner = (0, None) if cursor is None else _place(unpack_cursor("ids", cursor, length=2))
    page = await driver.browse(_STATES[number], limit=_AT_ONCE, cursor=inner)
    ids = [snapshot.message.id for snapshot in page.items]
    places = [place for place, one in enumerate(ids) if has_id_part(one, part)]
    if len(places) > limit:  # the only cursors are those of whole pages
        page = await driver.browse(_STATES[number], limit=places[limit - 1] + 1, cursor=inner)
        ids = [snapshot.message.id for snapshot in page.items]
    found = [one for one in ids if has_id_part(one, part)][:limit]
    if page.cursor is not None:
        return Page(found, pack_cursor("ids", (number, page.cursor)))
    following = number + 1
    return Page(found, pack_cursor("ids", (following, None)) if following < len(_STATES) else None)


def _place(position: Sequence[object]) -> tuple[int, str | None]:
    number, inner = position
    valid = isinstance(number, int) and 0 <= number < len(_STATES)
    return (number, inner if isinstance(inner, str) else None) if valid else (0, None)  # type: ignore[return-value]  # checked
