"""Pages of listings, each of which looks at a bounded number of messages.

A listing is a row of *stretches*: the messages of one queue and rank, or the leases of one owner. Within a stretch
messages have places, a time and an ID. A cursor names a stretch and a place in it, so that a page costs the same
wherever it begins.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.records import record
from asynctasq_postgres.server import Row, Server

T = TypeVar("T")

WALKED_AT_ONCE = 1_000
"""Messages that one page looks at, which takes a few milliseconds."""
STRETCHES_AT_ONCE = 1_000
FIRST = (-(1 << 63), bytes(ID_BYTES))
LAST = ((1 << 63) - 1, b"\xff" * ID_BYTES)

Place = tuple[int, bytes]


@record
class Listing:
    """Messages or dead letters that are listed."""

    kind: str
    """`ready`, `scheduled`, `running` or `dead`."""
    queue: str | None = None
    task: str | None = None
    owner: str | None = None
    since: float | None = None
    until: float | None = None
    reason: str | None = None
    error: str | None = None

    @property
    def start(self) -> Place:
        """The place before the first message of a stretch."""
        return LAST if self.kind == "dead" else FIRST

    @property
    def is_one_stretch(self) -> bool:
        """True if the index has all messages side by side."""
        return self.kind == "dead" or (self.kind == "scheduled" and self.queue is None)

    def filters(self) -> tuple[Any, ...]:
        """Return the filters as the function `page` takes them."""
        task, prefix, ending = self.task, None, None
        if self.task is not None and self.task.endswith("*"):
            task, prefix = None, _encoded(self.task[:-1])
        if self.error is not None and "." not in self.error:
            ending = _encoded(f".{self.error}")
        return (
            self.queue,
            None if self.since is None else micros(self.since),
            None if self.until is None else micros(self.until),
            None if task is None else _encoded(task),
            prefix,
            self.reason,
            None if self.error is None else _encoded(self.error),
            ending,
        )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


async def read_page(
    server: Server, listing: Listing, *, limit: int, cursor: str | None, make: Callable[[Row], T]
) -> Page[T]:
    """Read a page of a listing.

    Args:
        server: the database.
        listing: what is listed.
        limit: the most messages of the page, which never has more than `WALKED_AT_ONCE`.
        cursor: as it was given.
        make: makes an item of a row.

    Raises:
        DriverError: the cursor is not one of this listing.
    """
    limit = min(max(limit, 0), WALKED_AT_ONCE)
    major, minor, place = _position(listing, cursor)
    items: list[T] = []
    budget, room = WALKED_AT_ONCE, BYTES_AT_ONCE
    async for stretch in _stretches(server, listing, major, minor):
        if stretch != (major, minor):
            place = listing.start
        if budget <= 0:
            return Page(items, _cursor(listing, stretch, listing.start))
        rows = await server.rows(
            "page", server.settings.namespace, listing.kind, *stretch, *place, budget,
            limit - len(items), room, not items, *listing.filters(), server.shift,
        )  # fmt: skip
        for row in rows:
            if row[0] is not None:
                if row[6] is None:  # the page is full
                    return Page(items, _cursor(listing, stretch, place))
                items.append(make(row))
                room -= len(row[6]) + len(row[15] or b"")
            place = (row[1], row[2])
        if len(rows) >= budget:
            return Page(items, _cursor(listing, stretch, place))
        budget -= len(rows) + 1
    return Page(items)


async def _stretches(
    server: Server, listing: Listing, major: int, minor: int
) -> AsyncIterator[tuple[int, int]]:
    """Yield the stretches of a listing, in order, from the given one."""
    if listing.is_one_stretch:
        yield 0, 0
        return
    while True:
        found = await server.rows(
            "stretches", server.settings.namespace, listing.kind, listing.queue, listing.owner, major, minor
        )  # fmt: skip
        for row in found:
            yield row[0], row[1]
        if len(found) < STRETCHES_AT_ONCE:
            return
        major, minor = found[-1][0], found[-1][1] + 1


def _position(listing: Listing, cursor: str | None) -> tuple[int, int, Place]:
    if cursor is None:
        return 0, 0, listing.start
    major, minor, time, message_id = unpack_cursor(listing.kind, cursor, length=4)
    if (
        type(major) is not int
        or type(minor) is not int
        or type(time) is not int
        or type(message_id) is not bytes
        or len(message_id) != ID_BYTES
    ):
        raise DriverError(f"The cursor must come from a `Page`, got {cursor!r}.")
    return major, minor, (time, message_id)


def _cursor(listing: Listing, stretch: tuple[int, int], place: Place) -> str:
    return pack_cursor(listing.kind, (*stretch, *place))
