"""Pages of listings, each of which looks at a bounded number of messages.

A listing is a row of *stretches*: the messages that an index has side by side, such as those of one queue and
rank. Within a stretch messages have places, an indexed value and an ID (or the number of the row). A cursor
names a stretch and a place in it, so that a page costs the same wherever it begins.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import msgpack
import orjson

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import DriverError
from asynctasq.records import record

T = TypeVar("T")

FIRST = -(1 << 63)
"""No number that SQLite stores is smaller."""
BEHIND_ALL = b"\xff" * (ID_BYTES + 1)
"""SQLite sorts this behind every number, every text, and every value of bytes that can be in a row."""

WALKED_AT_ONCE = 1_000
"""Messages that one page looks at, which takes a few milliseconds."""

_SQL = queries("listings")
_HOLDERS = _SQL["holders"].replace("{holders}", queries("inspect")["holders"])


@record
class Stretch:
    """Messages that a listing walks one after the other."""

    walk: str
    major: int = 0
    """The queue, or the owner of leases."""
    minor: int = 0
    """The rank within a queue, or the queue of leases."""


Stretches: TypeAlias = Callable[[Session, int, int], Iterator[Stretch]]
"""Returns the stretches of a listing, in order, from that with the given major and minor number."""


@record
class Listing:
    """A kind of listing, and the columns of its rows."""

    name: str
    columns: str
    stretches: Stretches
    newest_first: bool = False


def read_page(
    session: Session,
    listing: Listing,
    conditions: str,
    parameters: dict[str, Any],
    *,
    limit: int,
    cursor: str | None,
    make: Callable[[Row], T],
) -> Page[T]:
    """Read a page of a listing.

    Args:
        session: of the engine.
        listing: what is listed.
        conditions: SQL of a condition that the messages must meet.
        parameters: of the conditions and the walks.
        limit: the most messages of the page, which never has more than `WALKED_AT_ONCE`.
        cursor: as it was given.
        make: makes an item of a row.

    Raises:
        DriverError: the cursor is not one of this listing.
    """
    limit = min(limit, WALKED_AT_ONCE)
    first = (BEHIND_ALL, b"") if listing.newest_first else (FIRST, FIRST)
    major, minor, place = _position(listing, cursor, first)
    items: list[T] = []
    end: str | None = None
    budget, room = WALKED_AT_ONCE, BYTES_AT_ONCE
    for stretch in listing.stretches(session, major, minor):
        if (stretch.major, stretch.minor) != (major, minor):
            place = first
        if budget <= 0:
            return Page(items, _cursor(listing, stretch, first))
        walk = _walk(stretch.walk, newest_first=listing.newest_first)
        values = {
            **parameters,
            "major": stretch.major,
            "minor": stretch.minor,
            "after": place[0],
            "after_id": place[1],
            "budget": budget,
            "limit": limit - len(items) + 1,
        }
        page = _SQL["page"].replace("{walk}", walk).replace("{columns}", listing.columns)
        rows, room, is_cut = session.rows_within(
            page.replace("{filter}", conditions), values, room=room, keeps_first=not items
        )
        is_full = len(rows) > limit - len(items)
        taken = rows[: limit - len(items)]
        items += map(make, taken)
        if taken:
            end = _cursor(listing, stretch, taken[-1][-2:])
        if is_full or is_cut:
            return Page(items, end or _cursor(listing, stretch, place))
        walked: int = session.rows(_SQL["walked"].replace("{walk}", walk), values)[0][0]
        if walked >= budget:
            last = session.rows(_SQL["end_of_walk"].replace("{walk}", walk), values)[0]
            return Page(items, _cursor(listing, stretch, last))
        budget -= walked + 1
        end = None
    return Page(items)


def _walk(name: str, *, newest_first: bool) -> str:
    beyond, direction = ("<", "DESC") if newest_first else (">", "ASC")
    return _SQL[name].replace("{beyond}", beyond).replace("{direction}", direction)


def of_queues(walk: str) -> Stretches:
    """Return the stretches of all queues of the namespace, a stretch for each queue and rank."""

    def stretches(session: Session, major: int, minor: int) -> Iterator[Stretch]:
        for queue in _numbers(session, _SQL["used_queues"], major):
            yield from _ranks(session, walk, queue, minor - 1 if queue == major else FIRST)

    return stretches


def of_queue(walk: str, queue: int) -> Stretches:
    """Return the stretches of one queue, one for each rank."""

    def stretches(session: Session, major: int, minor: int) -> Iterator[Stretch]:
        return _ranks(session, walk, queue, minor - 1 if major == queue else FIRST)

    return stretches


def _ranks(session: Session, walk: str, queue: int, rank: int) -> Iterator[Stretch]:
    while True:
        found = session.rows(_SQL["next_rank"], {"major": queue, "minor": rank})[0][0]
        if type(found) is not int:
            return
        rank = found
        yield Stretch(walk, queue, rank)


def of_leases(owner: int | None, queue: int | None) -> Stretches:
    """Return the stretches of leases, one for each owner and queue; None selects all."""

    def stretches(session: Session, major: int, minor: int) -> Iterator[Stretch]:
        owners = [owner] if owner is not None else _numbers(session, _HOLDERS, major)
        for each in owners:
            if queue is not None:
                yield Stretch("walk_leased", each, queue)
            else:
                yield from _queues(session, each, minor - 1 if each == major else FIRST)

    return stretches


def _numbers(session: Session, sql: str, first: int) -> list[int]:
    """Return the numbers that a statement gives as a JSON array, in order, from the first on."""
    found: list[Any] = orjson.loads(session.rows(sql, {})[0][0])
    return sorted(each for each in found if type(each) is int and each >= first)


def _queues(session: Session, owner: int, queue: int) -> Iterator[Stretch]:
    while True:
        found = session.rows(_SQL["next_queue_of_owner"], {"major": owner, "minor": queue})[0][0]
        if type(found) is not int:
            return
        queue = found
        yield Stretch("walk_leased", owner, queue)


def of_one(walk: str, major: int = 0) -> Stretches:
    """Return a single stretch."""

    def stretches(_session: Session, _major: int, _minor: int) -> Iterator[Stretch]:
        yield Stretch(walk, major)

    return stretches


def task_parameters(task: str | None) -> dict[str, bytes | None]:
    """Return the parameters of the filter by the name of the task."""
    if task is None:
        return {"task": None, "task_prefix": None}
    if task.endswith("*"):
        return {"task": None, "task_prefix": task[:-1].encode("utf-8", "surrogatepass")}
    return {"task": packed_text(task), "task_prefix": None}


def packed_text(text: str) -> bytes:
    """Return a text as it is in profiles and errors."""
    packed: bytes = msgpack.Packer(unicode_errors="surrogatepass").pack(text)
    return packed


def _position(listing: Listing, cursor: str | None, first: tuple[Any, Any]) -> tuple[int, int, Any]:
    if cursor is None:
        return 0, 0, first
    major, minor, *place = unpack_cursor(listing.name, cursor, length=4)
    if type(major) is not int or type(minor) is not int or None in place:
        raise DriverError(f"The cursor must come from a `Page`, got {cursor!r}.")
    return major, minor, place


def _cursor(listing: Listing, stretch: Stretch, place: Sequence[Any]) -> str:
    # A damaged text was decoded with losses: go on behind all texts.
    behind: Any = "" if listing.newest_first else b""
    values = [behind if isinstance(value, str) else value for value in place]
    return pack_cursor(listing.name, (stretch.major, stretch.minor, *values))
