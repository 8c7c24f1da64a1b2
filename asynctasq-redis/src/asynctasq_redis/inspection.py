"""What can be seen: counts, snapshots, dead letters, outcomes, listings."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from heapq import nsmallest
from struct import Struct
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import DeadLetter, Outcome, Page, QueueInfo, Snapshot
from asynctasq.contracts.driver import QueueCounts
from asynctasq.errors import DriverError
from asynctasq.message import State
from asynctasq.settlement import Reason
from asynctasq_redis.codec import (
    COMPLETED,
    DEAD,
    LEASE,
    OUTCOME,
    batches,
    queue_name,
    text_bytes,
    unpack_error,
    unpack_message_key,
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


async def find(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Messages that live or are dead."""
    found: list[Snapshot | None] = []
    for some in batches(ids, FINDS):
        now, *rows = await server.run("find", offset, "whole", *some)
        found += [_snapshot(one, row, int(now)) for one, row in zip(some, rows, strict=True)]
    return found


async def known(server: "Server", offset: int, ids: Sequence[bytes]) -> list[bool]:
    """Whether messages live or are dead."""
    found: list[bool] = []
    for some in batches(ids, FINDS):
        _, *rows = await server.run("find", offset, "head", *some)
        found += [row is not None for row in rows]
    return found


def _snapshot(message_id: bytes, row: Any, now: int) -> Snapshot | None:
    if row is None:
        return None
    value, lease, error, _, _, flagged = row
    head, message = unpack_message_key(message_id, value)
    owner = None
    if head.state == DEAD:
        state = State.DEAD
    elif lease is not None:
        state = State.LEASED
        owner = _lease_owner(lease)
    else:
        state = State.SCHEDULED if round(head.due_at * 1e6) > now else State.READY
    return Snapshot(
        message=message,
        state=state,
        attempt=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        due_at=head.due_at,
        owner=owner,
        cancelling=bool(flagged),
        error=unpack_error(error),
    )


def _lease_owner(lease: bytes) -> str:
    return queue_name(lease[LEASE.size : LEASE.size + LEASE.unpack_from(lease)[3]])


def _lease_queue(lease: bytes) -> bytes:
    start = LEASE.size + LEASE.unpack_from(lease)[3]
    return lease[start + 2 : start + 2 + int.from_bytes(lease[start : start + 2], "big")]


async def results(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Outcome | None]:
    """How messages ended; None for those that have not, or are not known."""
    found: list[Outcome | None] = []
    for some in batches(ids, FINDS):
        rows = await server.run("results", offset, *some)
        found += [_outcome(one, row) for one, row in zip(some, rows, strict=True)]
    return found


def _outcome(message_id: bytes, row: Any) -> Outcome | None:
    if row is None:
        return None
    if isinstance(row, list):
        died_at, reason, error = row
        return Outcome(
            message_id,
            State.DEAD,
            int(died_at) / 1e6,
            None,
            Reason(reason.decode()),
            unpack_error(error),
        )
    kind, has_result, finished_at, _ = OUTCOME.unpack_from(row)
    return Outcome(
        message_id,
        State.COMPLETED if kind == COMPLETED else State.CANCELLED,
        finished_at / 1e6,
        row[OUTCOME.size :] if has_result else None,
    )


async def dead_letters(
    server: "Server", offset: int, *, queue: str | None, limit: int, cursor: str | None
) -> Page[DeadLetter]:
    """A page of dead letters, newest first."""
    key = b"dead" if queue is None else b"d:" + text_bytes(queue)
    after: list[str | bytes] = []
    if cursor is not None:
        time, message_id = _position(cursor)
        after = [f"{time:.0f}", message_id]
    limit = max(limit, 0)
    rows = await server.run("dead_letters", key, limit + 1, *after)
    ids = rows[0 : limit * 2 : 2]
    letters: list[DeadLetter] = []
    for some in batches(ids, FINDS):
        _, *found = await server.run("find", offset, "whole", *some)
        pairs = zip(some, found, strict=True)
        letters += [_dead_letter(one, row) for one, row in pairs if row is not None and row[3]]
    more = len(rows) > limit * 2 and ids
    position = f"{float(rows[limit * 2 - 1]):.0f}:{ids[-1].hex()}" if more else None
    return Page(letters, position)


def _dead_letter(message_id: bytes, row: Any) -> DeadLetter:
    value, _, error, reason, died_at, _ = row
    head, message = unpack_message_key(message_id, value)
    return DeadLetter(
        message=message,
        reason=Reason(reason.decode()),
        error=unpack_error(error),
        attempts=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        died_at=int(died_at) / 1e6,
    )


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
            (_ENQUEUED.unpack_from(row[0])[0], one)
            for one, row in zip(ids, rows, strict=True)
            if row is not None
        )
        wanted = [
            position
            for position in positions
            if round(low) <= position[0] < high and position > after
        ]
        best = nsmallest(limit + 1, {*best, *wanted})
    page = best[:limit]
    found = await find(server, offset, [one for _, one in page]) if page else []
    items = [snapshot for snapshot in found if snapshot is not None and snapshot.state is state]
    more = len(best) > limit and page
    return Page(items, f"{page[-1][0]:.0f}:{page[-1][1].hex()}" if more else None)


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
        ids = [one for one, lease in rows if wanted is None or _lease_queue(lease) == wanted]
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
