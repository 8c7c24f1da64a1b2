"""Pages of listings. A page costs the same at any position in a listing."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import SCANNED_AT_ONCE
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.drivers.memory.order import Group
from asynctasq.errors import InvalidCursor

if TYPE_CHECKING:
    from asynctasq.drivers.memory.entry import Entry

Position = tuple[int, int]
"""A position in a series of listings: number of the listing, and place in it."""
_AT_END = 1 << 62


def collect(
    listings: "Iterable[tuple[int, Iterator[tuple[int, Entry]]]]",
    wanted: "Callable[[Entry], bool]",
    *,
    limit: int,
) -> "tuple[list[Entry], Position | None]":
    """Return a page, and the position after which the next one begins; None at the end.

    Args:
        listings: the number and the slots of each.
        wanted: returns True for a message that belongs on the page.
        limit: messages of a page. It ends earlier after `BYTES_AT_ONCE` bytes, or `SCANNED_AT_ONCE` slots.
    """
    found: list[Entry] = []
    position: Position = (0, 0)
    scanned = size = 0
    for number, slots in listings:
        for place, entry in slots:
            if len(found) >= limit or scanned >= SCANNED_AT_ONCE:
                return found, position
            scanned += 1
            if entry.place == place and wanted(entry):
                size += len(entry.message.body)
                if size > BYTES_AT_ONCE and found:
                    return found, position
                found.append(entry)
            position = (number, place)
        scanned += 1  # an empty listing costs something, too
        if scanned >= SCANNED_AT_ONCE:
            return found, (number, _AT_END)
    return found, None


def position_of(cursor: str | None) -> Position:
    """Return the position of a cursor.

    Raises:
        InvalidCursor: the text is not a cursor of these listings.
    """
    if cursor is None:
        return (0, 0)
    number, _, place = cursor.partition(".")
    try:
        return (int(number), int(place))
    except ValueError as error:
        raise not_a_cursor(cursor) from error


def not_a_cursor(cursor: str) -> InvalidCursor:
    """Return the error for a text that is not a cursor of a listing."""
    return InvalidCursor(f"The cursor must come from a `Page` of the same listing, got {cursor!r}.")


def cursor_of(position: Position | None) -> str | None:
    """Return a position as a cursor."""
    return None if position is None else f"{position[0]}.{position[1]}"


def groups_from(groups: Sequence[Group], number: int) -> Iterator[Group]:
    """Iterate over groups, which are ordered by number, from a number on."""
    for index in range(bisect_left(groups, number, key=_number), len(groups)):
        yield groups[index]


def _number(group: Group) -> int:
    return group.number
