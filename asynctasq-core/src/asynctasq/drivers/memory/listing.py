"""Listings: messages in the order in which they came, read in pages that cost the same anywhere.

A message of a listing has a place, a number that only grows. A page begins after a place, which a binary search
finds. A message that leaves only changes its place, so it costs nothing: its slot is dropped when such slots
outnumber the others.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import SCANNED_AT_ONCE
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.errors import DriverError

if TYPE_CHECKING:
    from asynctasq.drivers.memory.entry import Entry
    from asynctasq.drivers.memory.order import Queue

LEFTOVERS_TOLERATED = 64
Position = tuple[int, int]
"""A position in a series of listings: number of the listing, and place in it."""
_AT_END = 1 << 62


class Listing:
    """Messages by place."""

    __slots__ = ("_head", "_leftovers", "entries", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.entries: list[Entry] = []
        self._head = 0
        """Index of a slot before which there are only leftovers."""
        self._leftovers = 0

    def __len__(self) -> int:
        return len(self.places) - self._leftovers

    def add(self, entry: "Entry", place: int) -> None:
        """Append a message. `place` must be greater than all before it."""
        entry.place = place
        self.places.append(place)
        self.entries.append(entry)

    def remove(self, entry: "Entry") -> None:
        """Remove a message of this listing, and count it."""
        entry.place = 0
        self._leftovers += 1
        if self._leftovers > LEFTOVERS_TOLERATED and self._leftovers * 2 > len(self.places):
            self.drop_leftovers()

    def first(self) -> "Entry | None":
        """Return the oldest message; None if there is none."""
        while self._head < len(self.places):
            entry = self.entries[self._head]
            if entry.place == self.places[self._head]:
                return entry
            self._head += 1
        return None

    def after(self, place: int) -> "Iterator[tuple[int, Entry]]":
        """Iterate over slots after a place, oldest first. The place of a leftover is not its entry's."""
        self.first()  # skips leading leftovers
        start = max(bisect_right(self.places, place), self._head)
        for index in range(start, len(self.places)):
            yield self.places[index], self.entries[index]

    def before(self, place: int) -> "Iterator[tuple[int, Entry]]":
        """Iterate over slots before a place, newest first."""
        for index in range(bisect_left(self.places, place) - 1, -1, -1):
            yield self.places[index], self.entries[index]

    def drop_leftovers(self) -> None:
        """Drop the slots of messages that have another place now."""
        kept = [
            (place, entry)
            for place, entry in zip(self.places, self.entries, strict=True)
            if entry.place == place
        ]
        self.places = [place for place, _ in kept]
        self.entries = [entry for _, entry in kept]
        self._head = self._leftovers = 0


class Group:
    """The waiting messages of one task in one queue."""

    __slots__ = ("number", "queue", "ready", "scheduled", "task")

    def __init__(self, number: int, queue: "Queue", task: str) -> None:
        self.number = number
        self.queue = queue
        self.task = task
        self.ready = Listing()
        """Its queue counts the slots, and drops leftovers of all groups together: `Queue.tidy`."""
        self.scheduled = Listing()


def collect(
    listings: "Iterable[tuple[int, Iterator[tuple[int, Entry]]]]",
    wanted: "Callable[[Entry], bool]",
    *,
    limit: int,
) -> "tuple[list[Entry], Position | None]":
    """Return a page, and the position after which the next one begins; None at the end.

    Args:
        listings: the number and the slots of each.
        wanted: tells whether a message belongs on the page.
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
    """Return the position that a cursor stands for.

    Raises:
        DriverError: it is not a cursor of these listings.
    """
    if cursor is None:
        return (0, 0)
    number, _, place = cursor.partition(".")
    try:
        return (int(number), int(place))
    except ValueError as error:
        raise DriverError(
            f"cursor must be that of a `Page` of the same listing, got {cursor!r}."
        ) from error


def cursor_of(position: Position | None) -> str | None:
    """Return a position as a cursor."""
    return None if position is None else f"{position[0]}.{position[1]}"


def groups_from(groups: Sequence[Group], number: int) -> Iterator[Group]:
    """Iterate over groups, which are ordered by number, from a number on."""
    for index in range(bisect_left(groups, number, key=_number), len(groups)):
        yield groups[index]


def _number(group: Group) -> int:
    return group.number
