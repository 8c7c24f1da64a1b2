"""The calls that add messages, and the notifications that follow them."""

from collections.abc import Sequence

from asynctasq.contracts.driver import Enqueued
from asynctasq.message import Message
from asynctasq_postgres.enqueueing import Chunk, single
from asynctasq_postgres.opened import Opened


async def add(opened: Opened, messages: Sequence[Message]) -> list[Enqueued]:
    """Add messages, and wake processes that sleep until one comes."""
    if len(messages) == 1:
        parameters = single(messages[0], opened.namespace, opened.server.context.shift)
        if parameters is not None:
            if await _add_one(opened, parameters):
                return [Enqueued(messages[0].id, True)]
            await opened.read_namespace()  # the database may have been replaced by another one
    return await _add_chunk(opened, messages)


async def _add_one(opened: Opened, parameters: Sequence[object]) -> bool:
    """Add a message; return False if its ID is known, or if its namespace or queue is not."""
    server, doorbell = opened.server, opened.doorbell
    rings = doorbell.may_ring_now and server.commits_alone
    asleep: int | None
    if rings:
        durability = server.settings.synchronous_commit
        asleep = await server.value("enqueue_and_wake", *parameters, durability, doorbell.channel)
    else:
        asleep = await server.value("enqueue_one", *parameters)
    if asleep is None:
        return False
    doorbell.note_sleepers(asleep > 0, rung=rings)
    if asleep and not rings:
        doorbell.ring_numbers([asleep])
    return True


async def _add_chunk(opened: Opened, messages: Sequence[Message]) -> list[Enqueued]:
    context, chunk = opened.server.context, Chunk(messages)
    [(known, holders, is_asleep)] = await opened.server.rows(
        "enqueue", *chunk.parameters(context.settings.namespace, context.shift)
    )
    if is_asleep:
        opened.doorbell.ring(chunk.queues)
    return chunk.answers(known, holders)
