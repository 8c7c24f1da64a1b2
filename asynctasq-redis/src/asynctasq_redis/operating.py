"""What operators do to messages, and the registry of workers."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgpack

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.message import Message, State
from asynctasq_redis import inspection
from asynctasq_redis.codec import batches, micros, text_bytes
from asynctasq_redis.enqueueing import requeue_arguments

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

AT_ONCE = 1000
"""Messages that one script call takes; the scripts know it as BOUND."""
_DONE = ord("1")


async def requeue(server: "Server", offset: int, ids: Sequence[bytes]) -> list[bool]:
    """Make dead messages ready again, as they are."""
    answers: list[bool] = []
    for some in batches(ids, AT_ONCE):
        found = await inspection.find(server, offset, some)
        dead = [s.message if s and s.state is State.DEAD else None for s in found]
        done = iter(
            await requeue_messages(server, offset, [each for each in dead if each is not None])
        )
        answers += [message is not None and next(done) for message in dead]
    return answers


async def requeue_messages(
    server: "Server", offset: int, messages: Sequence[Message]
) -> list[bool]:
    """Make dead messages ready again, as they are given."""
    if not messages:
        return []
    answer = await server.run("requeue", offset, *requeue_arguments(messages))
    return [code == _DONE for code in answer]


async def delete_dead(server: "Server", ids: Sequence[bytes]) -> list[bool]:
    """Delete dead messages."""
    answers: list[bool] = []
    for some in batches(ids, AT_ONCE):
        answer = await server.run("delete_dead", *some)
        answers += [code == _DONE for code in answer]
    return answers


async def purge(server: "Server", offset: int, queue: str, states: Collection[State]) -> int:
    """Delete messages of a queue."""
    total = 0
    for state in states:
        purged = AT_ONCE
        while purged == AT_ONCE:
            purged = await server.run("purge", offset, text_bytes(queue), state.value)
            total += purged
    return total


async def record_worker(server: "Server", offset: int, worker: WorkerInfo, ttl: float) -> None:
    """Tell that a worker lives."""
    about: bytes = msgpack.packb(asdict(worker))
    await server.run("record_worker", offset, text_bytes(worker.id), about, int(micros(ttl)))


async def workers(server: "Server", offset: int) -> list[WorkerInfo]:
    """The workers that live."""
    found: list[WorkerInfo] = []
    for row in await server.run("workers", offset):
        if row is not None:
            fields: dict[str, Any] = msgpack.unpackb(row)
            queues = tuple(fields.pop("queues"))
            found.append(WorkerInfo(queues=queues, **fields))
    return sorted(found, key=lambda worker: worker.id)
