"""The calls that add messages, and the notifications that follow them."""

from collections.abc import Sequence

from asynctasq.contracts.driver import Enqueued
from asynctasq.message import Message
from asynctasq_postgres.enqueueing import Chunk, single
from asynctasq_postgres.opened import Opened


async def add(opened: Opened, messages: Sequence[Message]) -> list[Enqueued]:
    """Add messages, and wake processes that sleep until one comes."""
    if len(messages) == 1:
        context = opened.server.context
        parameters = single(messages[0], context.settings.namespace, context.shift)
        if parameters is not None:
            return [await _add_one(opened, messages[0], parameters)]
    return await _add_chunk(opened, messages)


async def _add_one(opened: Opened, message: Message, parameters: Sequence[object]) -> Enqueued:
    server, doorbell = opened.server, opened.doorbell
    rings = doorbell.may_ring_now and server.commits_alone
    if rings:
        durability = server.settings.synchronous_commit
        answer: int = await server.value(
            "enqueue_and_wake", *parameters, durability, doorbell.channel
        )
    else:
        answer = await server.value("enqueue_one", *parameters)
    if answer >= 0:
        doorbell.note_sleepers(answer > 0, rung=rings)
    if answer > 0 and not rings:
        doorbell.ring_numbers([answer])
    return Enqueued(message.id, answer >= 0)


async def _add_chunk(opened: Opened, messages: Sequence[Message]) -> list[Enqueued]:
    context, chunk = opened.server.context, Chunk(messages)
    [(known, holders, is_asleep)] = await opened.server.rows(
        "enqueue", *chunk.parameters(context.settings.namespace, context.shift)
    )
    if is_asleep:
        opened.doorbell.ring(chunk.queues)
    return chunk.answers(known, holders)
