"""Counts of queues, messages by their ids, and outcomes."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import Outcome, QueueInfo, Snapshot
from asynctasq.contracts.driver import QueueCounts
from asynctasq.driverkit.batching import batches
from asynctasq_redis.codec import queue_name, text_bytes
from asynctasq_redis.reading import Found, number_of, outcome_of, read_row, snapshot_of

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

FINDS = 1000
"""Messages that one call looks at."""
COUNTS = 100
"""Queues that one call counts."""
_DONE = ord("1")


async def count(server: "Server", offset: int, queue: str, bound: int | None) -> QueueCounts:
    """Return how many messages of a queue are in each state."""
    [[_, *counts, _, _]] = await server.run("count", offset, "counts", text_bytes(queue))
    ready, scheduled, leased, dead = _bounded(counts, bound)
    return QueueCounts(ready, scheduled, 0, leased, dead)


async def queues(server: "Server", offset: int, bound: int | None) -> list[QueueInfo]:
    """Return every queue that has messages or is paused, by name."""
    rows: list[Any] = []
    for some in batches(await names(server), COUNTS):
        rows += await server.run("count", offset, "all", *some)
    found: list[QueueInfo] = []
    for name, *counts, paused, oldest in rows:
        ready, scheduled, leased, dead = _bounded(counts, bound)
        if ready or scheduled or leased or dead or paused is not None:
            paused_at = number_of(paused)
            found.append(
                QueueInfo(
                    name=queue_name(name),
                    ready=ready,
                    scheduled=scheduled,
                    blocked=0,
                    leased=leased,
                    dead=dead,
                    paused=paused is not None,
                    oldest_ready_at=int(oldest) / 1e6 if oldest else None,
                    paused_at=None if paused_at is None else paused_at / 1e6,
                )
            )
    return found


def _bounded(counts: Sequence[int], bound: int | None) -> Sequence[int]:
    return counts if bound is None else [min(each, bound) for each in counts]


async def names(server: "Server") -> list[bytes]:
    """Return the names of all queues that have messages or are paused, in order."""
    return sorted(set(await server.run("names")))


async def find_rows(
    server: "Server", offset: int, ids: Sequence[bytes]
) -> AsyncIterator[list[tuple[bytes, Found | None]]]:
    """Read messages that wait, run or are dead, a bounded number of bytes at a time."""
    place = 0
    while place < len(ids):
        now, *rows = await server.run("find", offset, *ids[place : place + FINDS])
        some = ids[place : place + len(rows)]
        pairs = zip(some, rows, strict=True)
        yield [(one, None if row is None else read_row(one, row, int(now))) for one, row in pairs]
        place += len(rows)


async def find(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Find messages that wait, run or are dead."""
    return [
        None if found is None else snapshot_of(found)
        async for rows in find_rows(server, offset, ids)
        for _, found in rows
    ]


async def known(server: "Server", ids: Sequence[bytes]) -> list[bool]:
    """Return which messages wait, run or are dead."""
    found: list[bool] = []
    for some in batches(ids, FINDS):
        found += [code == _DONE for code in await server.run("known", *some)]
    return found


async def results(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Outcome | None]:
    """Return how messages ended; None for those that have not, or are not known."""
    found: list[Outcome | None] = []
    while len(found) < len(ids):
        some = ids[len(found) : len(found) + FINDS]
        rows = await server.run("results", offset, *some)
        found += [outcome_of(one, row) for one, row in zip(some, rows, strict=False)]
    return found
