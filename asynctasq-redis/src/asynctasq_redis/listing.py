"""Pages of messages in one state, and of dead letters.

A page takes two or three calls, and their cost does not grow with the number of messages: `members` walks
the sorted sets from the position of the last page on, and `choose` reads those messages and filters them.
Each page looks at a bounded number of messages, so a page of a filtered listing may be short.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import DeadLetter, Page, Snapshot
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.errors import InvalidCursor
from asynctasq.message import PRIORITY_HIGHEST, PRIORITY_LOWEST, State
from asynctasq.records import record
from asynctasq.settlement import Reason
from asynctasq_redis.codec import text_bytes
from asynctasq_redis.inspection import names
from asynctasq_redis.reading import dead_letter_of, read_row, snapshot_of

if TYPE_CHECKING:
    from asynctasq_redis.server import Server
    from asynctasq_redis.wires import Argument

SCANNED = 300
"""Messages that one page of a filtered listing looks at."""
QUEUES = 50
"""Queues that one page looks at."""
PRIORITIES = range(PRIORITY_LOWEST, PRIORITY_HIGHEST + 1)
_STATES = {
    State.READY: "ready",
    State.SCHEDULED: "scheduled",
    State.RUNNING: "running",
    State.DEAD: "dead",
}


@record
class Filter:
    """The messages that a listing shows."""

    queue: str | None = None
    task: str | None = None
    owner: str | None = None
    since: float | None = None
    until: float | None = None
    reason: Reason | None = None
    error: str | None = None

    @property
    def is_any(self) -> bool:
        """True if nearly every message that is looked at is shown."""
        return not (
            self.task
            or self.since is not None
            or self.until is not None
            or self.reason
            or self.error
        )

    def arguments(self) -> "Sequence[Argument]":
        """Return the filter as the script `choose` takes it."""
        texts = (self.queue, self.task, self.owner)
        return (
            *(b"" if text is None else text_bytes(text) for text in texts),
            b"" if self.since is None else _micros(self.since),
            b"" if self.until is None else _micros(self.until),
            b"" if self.reason is None else self.reason.value,
            b"" if self.error is None else text_bytes(self.error),
        )


@record
class Place:
    """A message in the order of a listing: of a queue by priority, time and id."""

    queue: bytes
    priority: int
    time: int
    id: bytes


async def browse(
    server: "Server", offset: int, state: State, chosen: Filter, *, limit: int, cursor: str | None
) -> Page[Snapshot]:
    """Return a page of messages in one state."""
    listing = _STATES.get(state)
    if listing is None or limit <= 0 or (chosen.owner is not None and state is not State.RUNNING):
        return Page([], None)
    if state is State.RUNNING:
        return await _browse_leased(server, offset, chosen, limit, cursor)
    ids, places, following = await _places(server, offset, listing, chosen, limit, cursor)
    looked_at, rows = await _chosen(server, offset, listing, chosen, limit, ids)
    items = [snapshot_of(found) for found in rows]
    if looked_at < len(ids):
        following = places[looked_at - 1] if looked_at else None
    return Page(items, None if following is None else _cursor(listing, following))


async def dead_letters(
    server: "Server", offset: int, chosen: Filter, *, limit: int, cursor: str | None
) -> Page[DeadLetter]:
    """Return a page of dead letters, newest first."""
    if limit <= 0:
        return Page([], None)
    ids, places, following = await _places(server, offset, "letters", chosen, limit, cursor)
    looked_at, rows = await _chosen(server, offset, "dead", chosen, limit, ids)
    died = {place.id: place.time for place in places}
    letters = [dead_letter_of(found, died[found.message.id]) for found in rows]
    if looked_at < len(ids):
        following = places[looked_at - 1]
    return Page(letters, None if following is None else _cursor("letters", following))


async def _places(
    server: "Server", offset: int, listing: str, chosen: Filter, limit: int, cursor: str | None
) -> tuple[list[bytes], list[Place], Place | None]:
    """Return ids, their places, and the place after which more may stand; None if there is no more."""
    after = None if cursor is None else _place(listing, cursor)
    begin: tuple[Argument, ...] = ("", "", "")
    if after is not None and after.id:
        begin = (after.priority, after.time, after.id)
    if chosen.queue is not None:
        queues = [text_bytes(chosen.queue)]
    elif listing in ("dead", "letters"):
        queues = [b""]
    else:
        queues = await names(server)
        if after is not None:
            queues = [name for name in queues if name >= after.queue]
            if queues[:1] != [after.queue]:
                begin = ("", "", "")
    if not queues:
        return [], [], None
    most = limit + 1 if chosen.is_any else max(SCANNED, limit)
    is_all, rows = await server.run(
        "members", offset, listing, min(most, SCANNED), *begin, *queues[:QUEUES]
    )
    places: list[Place] = []
    for number, priority, shift, found in zip(
        rows[::4], rows[1::4], rows[2::4], rows[3::4], strict=True
    ):
        name = queues[number - 1]
        pairs = zip(found[::2], found[1::2], strict=True)
        places += [Place(name, priority, int(float(score)) - shift, one) for one, score in pairs]
    following = None
    if not is_all:
        following = places[-1]
    elif len(queues) > QUEUES:
        following = Place(queues[QUEUES], 0, 0, b"")
    return [place.id for place in places], places, following


async def _browse_leased(
    server: "Server", offset: int, chosen: Filter, limit: int, cursor: str | None
) -> Page[Snapshot]:
    """Return a page of leased messages, by owner and then by id."""
    owner, part, last = (b"", b"", b"") if cursor is None else _leased_place(cursor)
    only = b"" if chosen.owner is None else text_bytes(chosen.owner)
    scanned = limit + 1 if chosen.is_any and chosen.queue is None else max(SCANNED, limit)
    is_all, *rows = await server.run("leased", only, owner, part, min(scanned, SCANNED))
    places: list[tuple[bytes, bytes, bytes]] = []
    following: tuple[bytes, bytes, bytes] | None = None
    for name, here, there, ids in zip(rows[::4], rows[1::4], rows[2::4], rows[3::4], strict=True):
        passed = last if (name, here) == (owner, part or b"0") else b""
        places += [(name, here, one) for one in sorted(set(ids)) if one > passed]
        following = (name, there, b"") if there != b"0" else (name + b"\0", b"", b"")
    if is_all and (following is None or following[0][-1:] == b"\0"):
        following = None
    if len(places) > SCANNED:
        following = places[SCANNED - 1]
    ids = [place[2] for place in places[:SCANNED]]
    looked_at, found = await _chosen(server, offset, "running", chosen, limit, ids)
    if looked_at < len(ids):
        following = places[looked_at - 1]
    listed = {(place[0], place[2]) for place in places}
    # A reserve that failed has left the message in the set of its owner, too.
    items = {
        snapshot.message.id: snapshot
        for snapshot in map(snapshot_of, found)
        if (text_bytes(snapshot.owner or ""), snapshot.message.id) in listed
    }
    return Page(
        list(items.values()),
        None if following is None else pack_cursor("running", following),
    )


async def _chosen(
    server: "Server", offset: int, state: str, chosen: Filter, limit: int, ids: Sequence[bytes]
) -> tuple[int, list[Any]]:
    """Return how many messages were looked at, and those of them that the listing shows."""
    if not ids:
        return 0, []
    now, looked_at, rows = await server.run(
        "choose", offset, limit, state, *chosen.arguments(), *ids
    )
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return looked_at, [read_row(one, row, int(now)) for one, row in pairs]


def _micros(seconds: float) -> str:
    return f"{seconds * 1e6:.0f}"


def _cursor(listing: str, place: Place) -> str:
    return pack_cursor(listing, (place.queue, place.priority, place.time, place.id))


def _place(listing: str, cursor: str) -> Place:
    match unpack_cursor(listing, cursor, length=4):
        # The script counts down from the priority of a cursor, which may be made by hand.
        case [bytes(queue), int(priority), int(time), bytes(one)] if priority in PRIORITIES:
            return Place(queue, priority, time, one)
        case _:
            raise _foreign(cursor)


def _leased_place(cursor: str) -> tuple[bytes, bytes, bytes]:
    match unpack_cursor("running", cursor, length=3):
        case [bytes(owner), bytes(part), bytes(last)]:
            return owner, part, last
        case _:
            raise _foreign(cursor)


def _foreign(cursor: str) -> InvalidCursor:
    return InvalidCursor(
        f"The cursor must come from a `Page` of the same listing, got {cursor!r}. Leave it out to begin "
        "with the first page."
    )
