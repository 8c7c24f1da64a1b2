"""Counts, snapshots, outcomes, progress and workers; and pauses."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from asynctasq.contracts.capabilities import Outcome, QueueInfo, Snapshot, WorkerInfo
from asynctasq.contracts.driver import BYTES_AT_ONCE, QueueCounts
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import worker_of
from asynctasq_mysql.claiming import large_limit
from asynctasq_mysql.rows import as_bytes, outcome, snapshot
from asynctasq_mysql.statements import Query, json_of
from asynctasq_mysql.store import Store, name_bytes, name_text

log = logging.getLogger("asynctasq.mysql")

AT_ONCE = 1000
QUEUES_AT_ONCE = 50
NO_BOUND = 1 << 62


async def rows_with_payloads(
    store: Store, query: Query, ids: Sequence[bytes], *, size: int, payload: int
) -> dict[bytes, list[Any]]:
    """Return rows by ID, with the payloads that were too large to be read together.

    Args:
        store: to be asked.
        query: gives rows that begin with a number.
        ids: of messages.
        size: place of the column with the size of the payload.
        payload: place of its column.
    """
    found: dict[bytes, list[Any]] = {}
    for some in batches(ids, AT_ONCE):
        for message_id in some:
            check_id(message_id)
        large = large_limit(len(some)) if len(some) > 1 else BYTES_AT_ONCE
        text = query(store.offset, ids=json_of(some), namespace=store.namespace, large=large)
        [rows] = await store.run(text)
        for row in rows:
            number: Any = row[0]
            found[some[number - 1]] = list(row)
        missing = {
            key: row[size]
            for key, row in found.items()
            if row[payload] is None and row[size] > large
        }
        for few in batches(
            list(missing), AT_ONCE, size=missing.__getitem__, most_bytes=BYTES_AT_ONCE
        ):
            texts = [store.sql.lease["payload"](id=one, namespace=store.namespace) for one in few]
            for one, answer in zip(few, await store.run(*texts), strict=True):
                found[one][payload] = answer[0][0] if answer else None
    return found


async def find_rows(store: Store, ids: Sequence[bytes]) -> Mapping[bytes, Sequence[Any]]:
    """Return the rows of messages that wait, run or are dead, without their numbers."""
    found = await rows_with_payloads(store, store.sql.inspect["find"], ids, size=16, payload=4)
    await store.names(row[2] for row in found.values())
    return {key: row[1:] for key, row in found.items()}


async def find(store: Store, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Return messages that wait, run or are dead."""
    found = await find_rows(store, ids)
    name = await namer(store, found)
    return [None if one not in found else snapshot(found[one], name, found[one][16]) for one in ids]


async def namer(store: Store, rows: Mapping[bytes, Sequence[Any]]) -> Callable[[int], str]:
    """Return a function that returns the names of the queues of rows."""
    names = dict(await store.names(row[1] for row in rows.values()))
    return lambda number: names.get(number, "")


async def results(store: Store, ids: Sequence[bytes]) -> list[Outcome | None]:
    """Return the outcomes of messages that have ended."""
    found = await rows_with_payloads(store, store.sql.inspect["outcomes"], ids, size=7, payload=3)
    return [None if one not in found else outcome(one, tuple(found[one][1:7])) for one in ids]


async def known(store: Store, ids: Sequence[bytes]) -> list[bool]:
    """Return which messages wait, run or are dead."""
    rows = await _by_number(store, store.sql.inspect["known"], ids)
    return [number in rows for number in range(len(ids))]


async def progress(store: Store, ids: Sequence[bytes]) -> list[bytes | None]:
    """Return the latest report of each message."""
    rows = await _by_number(store, store.sql.inspect["progress"], ids)
    return [
        None if number not in rows or rows[number][1] is None else as_bytes(rows[number][1])
        for number in range(len(ids))
    ]


async def _by_number(store: Store, query: Query, ids: Sequence[bytes]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        for message_id in some:
            check_id(message_id)
        [rows] = await store.run(query(ids=json_of(some), namespace=store.namespace))
        for row in rows:
            number: Any = row[0]
            found[start + number - 1] = row
    return found


async def count(store: Store, queue: str, bound: int | None) -> QueueCounts:
    """Count the messages of a queue."""
    numbers = await store.numbers([queue])
    if queue not in numbers:
        return QueueCounts()
    [[row]] = await store.run(_count(store, numbers[queue], bound))
    ready, scheduled, leased, dead = _counts(row, bound)
    return QueueCounts(ready, scheduled, 0, leased, dead)


def _count(store: Store, queue: int, bound: int | None) -> str:
    most = NO_BOUND if bound is None else max(bound, 0)
    return store.sql.inspect["count"](store.offset, queue=queue, bound=most)


def _counts(row: Sequence[Any], bound: int | None) -> tuple[int, int, int, int]:
    _, ready, due, scheduled, leased, dead = row[:6]
    most = NO_BOUND if bound is None else max(bound, 0)
    return min(ready + due, most), scheduled, leased, dead


async def queues(store: Store, bound: int | None) -> list[QueueInfo]:
    """Return the queues that hold a message or are paused, by name."""
    infos: list[QueueInfo] = []
    [used] = await store.run(store.sql.inspect["used_queues"](namespace=store.namespace))
    for some in batches(used, QUEUES_AT_ONCE):
        names: dict[Any, Any] = dict(some)
        counts = await store.run(*(_count(store, number, bound) for number in names))
        oldest = await _oldest(store, list(names))
        for [row] in counts:
            ready, scheduled, leased, dead = _counts(row, bound)
            _, *_, paused, paused_at = row
            if paused or ready or scheduled or leased or dead:
                number: Any = row[0]
                first = oldest.get(number)
                at: Any = paused_at
                infos.append(
                    QueueInfo(
                        name=name_text(bytes(names[number])),
                        ready=ready,
                        scheduled=scheduled,
                        blocked=0,
                        leased=leased,
                        dead=dead,
                        paused=bool(paused),
                        oldest_ready_at=None if first is None else first / 1e6,
                        paused_at=at / 1e6 if paused and at is not None else None,
                    )
                )
    return infos


async def _oldest(store: Store, numbers: Sequence[int]) -> dict[int, int]:
    """Return when the message that has been ready for longest became ready, by queue."""
    texts = [
        store.sql.inspect["oldest"](store.offset, queue=number, state=state, rank=rank)
        for number in numbers
        for state in (2, 3)
        for rank in range(10)
    ]
    union = "\nUNION ALL\n".join(texts)
    found: dict[int, int] = {}
    [rows] = await store.run(union)
    for row in rows:
        number: Any = row[0]
        at: Any = row[1]
        if at is not None:
            found[number] = min(at, found.get(number, at))
    return found


async def set_paused(store: Store, queue: str, *, paused: bool) -> None:
    """Pause or resume a queue."""
    numbers = await store.numbers([queue], creates=paused)
    if queue in numbers:
        query = store.sql.inspect["pause" if paused else "resume"]
        await store.run(query(store.offset, queue=numbers[queue]))


async def paused_queues(store: Store) -> frozenset[str]:
    """Return the names of the paused queues."""
    [rows] = await store.run(store.sql.inspect["paused"](namespace=store.namespace))
    return frozenset(name_text(as_bytes(row[0])) for row in rows)


async def record_worker(store: Store, worker: WorkerInfo, ttl: float) -> None:
    """Record a heartbeat."""
    await store.run(
        store.sql.inspect["record_worker"](
            store.offset,
            namespace=store.namespace,
            id=name_bytes(worker.id),
            description=orjson.dumps(worker),
            ttl=micros(ttl),
        )
    )


async def forget_worker(store: Store, worker_id: str) -> None:
    """Remove a worker."""
    await store.run(
        store.sql.inspect["forget_worker"](namespace=store.namespace, id=name_bytes(worker_id))
    )


async def workers(store: Store) -> list[WorkerInfo]:
    """Return the workers whose heartbeat has not run out."""
    [rows] = await store.run(store.sql.inspect["workers"](store.offset, namespace=store.namespace))
    found = []
    for row in rows:
        try:
            found.append(worker_of(orjson.loads(as_bytes(row[0]))))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            log.warning(
                "The record of a worker in %s is damaged: %s", store.connections.description, error
            )
    return found


async def server_version(store: Store) -> str:
    """Return the product and the version of the server."""
    [[[version]]] = await store.run("SELECT VERSION()")
    text = version.decode() if isinstance(version, bytes) else str(version)
    number, _, build = text.partition("-")
    return f"{'MariaDB' if 'mariadb' in build.lower() else 'MySQL'} {number}"
