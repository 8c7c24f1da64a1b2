"""Counts, snapshots, outcomes and workers."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from asynctasq.contracts.capabilities import Outcome, QueueInfo, Snapshot, WorkerInfo
from asynctasq.contracts.driver import BYTES_AT_ONCE, QueueCounts
from asynctasq.driverkit.packing import check_id, unpack_error
from asynctasq.driverkit.sql import STATES
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import worker_of
from asynctasq.message import State
from asynctasq_postgres.rows import Row, as_reason, snapshot
from asynctasq_postgres.server import Server

IDS_AT_ONCE = 10_000
"""IDs of one step of a call that reads many."""
MOST = 1 << 62

log = logging.getLogger("asynctasq.postgres")


def joined(ids: Sequence[bytes]) -> bytes:
    """Return IDs as one value."""
    for message_id in ids:
        check_id(message_id)
    return b"".join(ids)


def _bound(bound: int | None) -> int | None:
    return None if bound is None else min(max(bound, 0), MOST)


async def count(server: Server, queue: str, bound: int | None) -> QueueCounts:
    """Count the messages of a queue by state."""
    [row] = await server.rows(
        "count", server.settings.namespace, queue, _bound(bound), server.shift
    )
    ready, scheduled, leased, dead = (number or 0 for number in row)
    return QueueCounts(ready, scheduled, 0, leased, dead)


async def queues(server: Server, bound: int | None) -> list[QueueInfo]:
    """Return every queue that holds a message, is paused, or has dead letters."""
    rows = await server.rows("list_queues", server.settings.namespace, _bound(bound), server.shift)
    return [
        QueueInfo(
            name=name,
            ready=ready,
            scheduled=scheduled,
            blocked=0,
            leased=leased,
            dead=dead,
            paused=paused,
            oldest_ready_at=None if oldest is None else oldest / 1e6,
            paused_at=paused_at / 1e6 if paused and paused_at is not None else None,
        )
        for name, ready, scheduled, leased, dead, oldest, paused, paused_at in rows
    ]


async def found_rows(
    server: Server, call: str, ids: Sequence[bytes], *, body: int
) -> list[tuple[int, Row]]:
    """Return the rows of IDs with their places, from as many calls as the bound in bytes requires.

    Args:
        server: the database.
        call: returns a row for each ID that it finds, with its number from 1.
        ids: of messages.
        body: number of the column that is NULL in the first row that does not fit into the answer.
    """
    found: list[tuple[int, Row]] = []
    at = 0
    while at < len(ids):
        part = ids[at : at + IDS_AT_ONCE]
        rows = await server.rows(
            call, server.settings.namespace, joined(part), BYTES_AT_ONCE, server.shift
        )
        end = len(part)
        for row in rows:
            if row[body] is None:
                end = row[0] - 1
                break
            found.append((at + row[0] - 1, row))
        at += end
    return found


async def find(server: Server, ids: Sequence[bytes]) -> list[Snapshot | None]:
    """Return messages that wait, run or are dead."""
    found: list[Snapshot | None] = [None] * len(ids)
    for place, row in await found_rows(server, "find", ids, body=6):
        found[place] = snapshot(row)
    return found


async def results(server: Server, ids: Sequence[bytes]) -> list[Outcome | None]:
    """Return the outcomes of messages."""
    found: list[Outcome | None] = [None] * len(ids)
    for place, row in await found_rows(server, "results", ids, body=1):
        found[place] = _outcome(ids[place], row)
    return found


def _outcome(message_id: bytes, row: Row) -> Outcome:
    _, stored, finished_at, result, reason, error, about = row
    state = STATES.get(stored, State.DEAD)
    if state is State.DEAD:
        why = as_reason(reason or "")
        return Outcome(
            message_id, state, finished_at / 1e6, None, why, unpack_error(error), about or b""
        )
    return Outcome(message_id, state, finished_at / 1e6, result, about=about or b"")


async def known(server: Server, ids: Sequence[bytes]) -> list[bool]:
    """Return whether each message waits, runs or is dead."""
    numbers = set(await server.value("known", server.settings.namespace, joined(ids)))
    return [number in numbers for number in range(1, len(ids) + 1)]


async def progress(server: Server, ids: Sequence[bytes]) -> list[bytes | None]:
    """Return the latest report of each message."""
    rows = await server.rows("progress", server.settings.namespace, joined(ids))
    reports: dict[int, bytes] = {row[0]: row[1] for row in rows}
    return [reports.get(number) for number in range(1, len(ids) + 1)]


async def record_worker(server: Server, worker: WorkerInfo, ttl: float) -> None:
    """Record a heartbeat."""
    await server.rows(
        "record_worker",
        server.settings.namespace,
        worker.id,
        json.dumps(asdict(worker)).encode(),
        micros(ttl),
        server.shift,
    )


async def workers(server: Server) -> list[WorkerInfo]:
    """Return the workers whose heartbeat has not run out, by ID."""
    rows = await server.rows("workers", server.settings.namespace, server.shift)
    found = [_worker(row[0], server.place) for row in rows]
    return [each for each in found if each is not None]


def _worker(description: bytes, place: str) -> WorkerInfo | None:
    try:
        values: dict[str, Any] = json.loads(description)
        return worker_of(values)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("The record of a worker in %s is damaged: %s", place, error)
        return None
