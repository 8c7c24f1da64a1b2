"""What can be seen: counts, snapshots, dead letters, outcomes, listings."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from heapq import nsmallest
from struct import Struct
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import DeadLetter, Outcome, Page, QueueInfo, Snapshot
from asynctasq.contracts.driver import BYTES_AT_ONCE, QueueCounts
from asynctasq.errors import DriverError
from asynctasq.message import Message, State
from asynctasq_redis.codec import FOREVER, batches, queue_name, text_bytes
from asynctasq_redis.reading import (
    Found,
    dead_letter_of,
    lease_queue,
    outcome_of,
    read_row,
    snapshot_of,
)

if TYPE_CHECKING:
    from asynctasq_redis.connecting import Argument
    from asynctasq_redis.server import Server

FINDS = 1000
"""Messages that one call looks at."""
COUNTS = 100
"""Queues that one call counts."""
_ENQUEUED = Struct(">19xd")
_SETS = {
    # What falls due goes from the first to the second meanwhile, and is met in one of them.
    State.READY: (("s", "due"), ("r:", "all")),
    State.SCHEDULED: (("s", "later"),),
    State.DEAD: (("d:", "all"),),
}
"""The sorted sets that messages in a state are in, and which of those in them."""


async def count(server: "Server", offset: int, queue: str) -> QueueCounts:
    """How many messages of a queue are in each state."""
    [[_, ready, scheduled, leased, dead, _, _]] = await server.run(
        "count", offset, "counts", text_bytes(queue)
    )
    return QueueCounts(ready, scheduled, 0, leased, dead)


async def queues(server: "Server", offset: int) -> list[QueueInfo]:
    """Every queue that holds something or is paused."""
    names = sorted(set(await server.run("names")))
    rows: list[Any] = []
    for some in batches(names, COUNTS):
        rows += await server.run("count", offset, "all", *some)
    return [
        QueueInfo(
            name=queue_name(name),
            ready=ready,
            scheduled=scheduled,
            blocked=0,
            leased=leased,
            dead=dead,
            paused=bool(paused),
            oldest_ready_at=int(oldest) / 1e6 if oldest else None,
        )
        for name, ready, scheduled, leased, dead, paused, oldest in rows
        if ready or scheduled or leased or dead or paused
    ]


async def find_rows(
    server: "Server", offset: int, ids: Sequence[bytes]
) -> AsyncIterator[list[tuple[bytes, Found | None]]]:
    """Read messages that live or are dead, a bounded number of bytes at a time."""
    place = 0
    while place < len(ids):
        now, *rows = await server.run("find", offset, "whole", *ids[place : place + FINDS])
        some = ids[place : place + len(rows)]
        pairs = zip(some, rows, strict=True)
        yield [(one, None if row is None else read_row(one, row, int(now))) for one, row in pairs]
        place += len(rows)


async def find(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Find messages that live or are dead."""
    return [
        None if found is None else snapshot_of(found)
        async for rows in find_rows(server, offset, ids)
        for _, found in rows
    ]


async def known(server: "Server", offset: int, ids: Sequence[bytes]) -> list[bool]:
    """Return which messages live or are dead."""
    found: list[bool] = []
    for some in batches(ids, FINDS):
        _, *rows = await server.run("find", offset, "head", *some)
        found += [row is not None for row in rows]
    return found


async def results(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Outcome | None]:
    """Return how messages ended; None for those that have not, or are not known."""
    found: list[Outcome | None] = []
    while len(found) < len(ids):
        some = ids[len(found) : len(found) + FINDS]
        rows = await server.run("results", offset, *some)
        found += [outcome_of(one, row) for one, row in zip(some, rows, strict=False)]
    return found


async def dead_letters(
    server: "Server", offset: int, *, queue: str | None, limit: int, cursor: str | None
) -> Page[DeadLetter]:
    """List dead letters, newest first, a page at a time."""
    key = b"dead" if queue is None else b"d:" + text_bytes(queue)
    after: list[str | bytes] = []
    if cursor is not None:
        time, message_id = _position(cursor)
        after = [f"{time:.0f}", message_id]
    limit = max(limit, 0)
    rows = await server.run("dead_letters", key, limit + 1, *after)
    ids, times = rows[::2], [float(time) for time in rows[1::2]]
    letters: list[DeadLetter] = []
    seen = 0
    async for some in find_rows(server, offset, ids[:limit]):
        for (_, found), died_at in zip(some, times[seen:], strict=False):
            if found is not None and found.state is State.DEAD:
                letters.append(dead_letter_of(found, died_at))
        seen += len(some)
        if _is_full(letter.message for letter in letters):
            break
    more = seen and len(ids) > seen
    return Page(letters, f"{times[seen - 1]:.0f}:{ids[seen - 1].hex()}" if more else None)


def _is_full(messages: Iterable[Message]) -> bool:
    """Return whether a page is as large as a page may be."""
    return sum(len(message.body) for message in messages) > BYTES_AT_ONCE // 2


async def browse(
    server: "Server",
    offset: int,
    state: State,
    *,
    queue: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    cursor: str | None,
) -> Page[Snapshot]:
    """A page of messages in one state by time of enqueue, then id.

    There is no index by time of enqueue, which every message would have to pay for: this reads the
    beginnings of all messages in that state, a thousand at a time.
    """
    after = (-1.0, b"") if cursor is None else _position(cursor)
    low = -1.0 if since is None else since * 1e6
    high = float("inf") if until is None else until * 1e6
    best: list[tuple[float, bytes]] = []
    limit = max(limit, 0)
    async for ids in _members(server, offset, state, queue):
        _, *rows = await server.run("find", offset, "head", *ids)
        positions = (
            (_enqueued(row[0]), one) for one, row in zip(ids, rows, strict=True) if row is not None
        )
        wanted = [
            position
            for position in positions
            if round(low) <= position[0] < high and position > after
        ]
        best = nsmallest(limit + 1, {*best, *wanted})
    items: list[Snapshot] = []
    seen = 0
    async for some in find_rows(server, offset, [one for _, one in best[:limit]]):
        items += [snapshot_of(found) for _, found in some if found and found.state is state]
        seen += len(some)
        if _is_full(snapshot.message for snapshot in items):
            break
    more = seen and len(best) > seen
    return Page(items, f"{best[seen - 1][0]:.0f}:{best[seen - 1][1].hex()}" if more else None)


def _enqueued(head: bytes) -> float:
    """Return when a message was enqueued; 0 if its record is damaged."""
    time: float = _ENQUEUED.unpack_from(head)[0] if len(head) >= _ENQUEUED.size else 0.0
    return time if 0.0 < time < FOREVER else 0.0


async def _members(
    server: "Server", offset: int, state: State, queue: str | None
) -> AsyncIterator[Sequence[bytes]]:
    """Ids of all messages in a state, in pieces; of some twice."""
    if state is State.LEASED:
        async for ids in _leased(server, queue):
            yield ids
        return
    names = [queue] if queue is not None else [info.name for info in await queues(server, offset)]
    for name in names:
        for key, which in _SETS.get(state, ()):
            about = (offset, text_bytes(name), key, which)
            async for ids in _scanned(partial(server.run, "members", *about)):
                for some in batches(ids, FINDS):
                    yield some


async def _leased(server: "Server", queue: str | None) -> AsyncIterator[Sequence[bytes]]:
    wanted = None if queue is None else text_bytes(queue)
    async for pairs in _scanned(partial(server.run, "leased")):
        rows = zip(pairs[::2], pairs[1::2], strict=True)
        ids = [one for one, lease in rows if wanted is None or lease_queue(lease) == wanted]
        for some in batches(ids, FINDS) if ids else ():
            yield some


async def _scanned(read: "Callable[[Argument, int], Awaitable[Any]]") -> AsyncIterator[list[bytes]]:
    """What a script finds piece by piece: from a position on, about so many."""
    position: Argument = 0
    while True:
        position, found = await read(position, FINDS)
        if found:
            yield found
        if int(position) == 0:
            return


def _position(cursor: str) -> tuple[float, bytes]:
    time, _, message_id = cursor.partition(":")
    try:
        return float(int(time)), bytes.fromhex(message_id)
    except ValueError as error:
        raise DriverError(
            f"{cursor!r} is no cursor of this listing. Pass on the one of a `Page`."
        ) from error
