"""Operations on dead letters and queues, and the registry of workers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import msgpack

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.driverkit.batching import batches
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, State
from asynctasq_redis import inspection
from asynctasq_redis.codec import text_bytes, whole_micros
from asynctasq_redis.enqueueing import requeue_arguments
from asynctasq_redis.leasing import NewsBuffer

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

AT_ONCE = 1000
"""Messages that one script call takes: BOUND in the scripts."""
_DONE = ord("1")
_WORKER_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "host": str,
    "pid": int,
    "started_at": (int, float),
    "queues": list,
    "concurrency": int,
    "running": int,
    "version": str,
}
_WORKER_FIELDS = [each.name for each in fields(WorkerInfo)]


async def requeue(server: "Server", offset: int, ids: Sequence[bytes]) -> list[bool]:
    """Requeue dead letters as they are. Damaged ones stay dead."""
    answers: list[bool] = []
    async for rows in inspection.find_rows(server, offset, ids):
        dead = [
            found.message if found and found.state is State.DEAD and not found.damage else None
            for _, found in rows
        ]
        messages = [message for message in dead if message is not None]
        done = iter(await requeue_messages(server, offset, messages))
        answers += [message is not None and next(done) for message in dead]
    return answers


async def requeue_messages(
    server: "Server", offset: int, messages: Sequence[Message]
) -> list[bool]:
    """Requeue dead letters, and replace their contents by these messages."""
    if not messages:
        return []
    answer = await server.run("requeue", offset, *requeue_arguments(messages))
    return [code == _DONE for code in answer]


async def delete_dead(server: "Server", ids: Sequence[bytes]) -> list[bool]:
    """Delete dead letters."""
    answers: list[bool] = []
    for some in batches(ids, AT_ONCE):
        answer = await server.run("delete_dead", *some)
        answers += [code == _DONE for code in answer]
    return answers


async def purge(server: "Server", offset: int, queue: str, states: Collection[State]) -> int:
    """Delete messages of a queue, a bounded piece in each call."""
    total = 0
    for state in states:
        looked_at = AT_ONCE
        while looked_at == AT_ONCE:
            purged, looked_at = await server.run("purge", offset, text_bytes(queue), state.value)
            total += purged
    return total


async def record_worker(server: "Server", offset: int, worker: WorkerInfo, ttl: float) -> None:
    """Record the heartbeat of a worker."""
    about: bytes = msgpack.packb(asdict(worker))
    await server.run("record_worker", offset, text_bytes(worker.id), about, whole_micros(ttl))


async def workers(server: "Server", offset: int) -> list[WorkerInfo]:
    """Return the workers whose heartbeat has not run out, by id."""
    rows = await server.run("workers", offset)
    found = [_worker(row) for row in rows if row is not None]
    return sorted((each for each in found if each is not None), key=lambda worker: worker.id)


def _worker(row: bytes) -> WorkerInfo | None:
    """Return a worker; None if its record is damaged. Its next heartbeat replaces the record."""
    try:
        stored: dict[str, Any] = msgpack.unpackb(row)
        if not all(isinstance(stored[name], kind) for name, kind in _WORKER_TYPES.items()):
            return None
        known: dict[str, Any] = {name: stored[name] for name in _WORKER_FIELDS if name in stored}
        known["queues"] = tuple(map(str, stored["queues"]))
        known["tasks"] = tuple(map(str, stored.get("tasks", ())))
        return WorkerInfo(**known)
    except (ValueError, TypeError, LookupError, msgpack.UnpackException):
        return None


async def end_owner(server: "Server", offset: int, owner: str, news: NewsBuffer) -> None:
    """End all leases of an owner, counted as lost."""
    left = 1
    while left:
        left, rows = await server.run("end_owner", offset, text_bytes(owner))
        news.add_rows(rows)


async def server_version(server: "Server") -> str:
    """Return the product and the version of the server; an empty text if the user may not ask for it."""
    try:
        report: bytes = await server.command("INFO", "server")
    except DriverUnavailable:
        raise
    except DriverError:
        return ""
    lines = (line.partition(":") for line in report.decode("utf-8", "replace").splitlines())
    facts = {name: value for name, _, value in lines}
    for name in ("valkey_version", "redis_version"):
        if name in facts:
            return f"{name.partition('_')[0].capitalize()} {facts[name]}"
    return ""
