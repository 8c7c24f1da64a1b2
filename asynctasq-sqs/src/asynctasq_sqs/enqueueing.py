"""Enqueueing: batches of a chunk run in parallel, and each message has its own answer."""

import asyncio
import math
from collections.abc import Sequence

from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.errors import DriverError, DriverUnavailable, MessageTooLargeForStore
from asynctasq.message import Message
from asynctasq_sqs import names
from asynctasq_sqs.errors import QueueMissing
from asynctasq_sqs.records import ROOM, new_record, pack, title
from asynctasq_sqs.sending import Outgoing, send
from asynctasq_sqs.settling import LONGEST_DELAY, Settling


async def enqueue(settling: Settling, messages: Sequence[Message]) -> list[Enqueued]:
    """Send one chunk; answer in order.

    Raises:
        EnqueuedPartly: some messages are stored, and others are not.
        DriverUnavailable: the service gave no answer.
        DriverError: no message is stored.
    """
    by_queue: dict[str, list[tuple[int, Outgoing]]] = {}
    for number, message in enumerate(messages):
        by_queue.setdefault(message.queue, []).append((number, outgoing(settling, message)))
    errors: list[DriverError | None] = [None] * len(messages)

    async def send_queue(queue: str, items: list[tuple[int, Outgoing]]) -> None:
        outgoings = [each for _, each in items]
        answers = await _send(settling, queue, outgoings)
        if all(isinstance(error, QueueMissing) for error in answers):  # it was deleted
            settling.queues.forget(queue)
            answers = await _send(settling, queue, outgoings)
        for (number, _), error in zip(items, answers, strict=True):
            errors[number] = error
        settling.client.shared.hint(queue)

    await asyncio.gather(*(send_queue(queue, items) for queue, items in by_queue.items()))
    failed = [error for error in errors if error is not None]
    if not failed:
        return [Enqueued(message.id, created=True) for message in messages]
    if len(failed) == len(messages):
        raise next((each for each in failed if isinstance(each, DriverUnavailable)), failed[0])
    raise EnqueuedPartly(
        f"SQS stored {len(messages) - len(failed)} of {len(messages)} messages: {failed[0]}",
        answers=[
            error or Enqueued(message.id, created=True)
            for message, error in zip(messages, errors, strict=True)
        ],
    )


async def _send(
    settling: Settling, queue: str, messages: Sequence[Outgoing]
) -> list[DriverError | None]:
    is_fifo = settling.queues.is_fifo(queue)
    try:
        url = await settling.queues.url(queue)
        return await send(settling.client, url, messages, keeps_order=is_fifo)
    except DriverError as error:
        return [error] * len(messages)


def outgoing(settling: Settling, message: Message) -> Outgoing:
    """Return a new message as it is sent.

    Raises:
        DriverError: a number is not finite, or the message is too large, or a FIFO queue cannot delay it.
    """
    check_numbers(message)
    now = settling.clock.now()
    delay = message.delay if message.eta is None else message.eta - now
    delay = max(delay, 0.0)
    due = now + delay if message.eta is None else message.eta
    is_fifo = settling.queues.is_fifo(message.queue)
    record = new_record(message, now=now, due=due, held=delay > LONGEST_DELAY)
    group = None if message.group is None else names.group_id(message.group)
    sent = Outgoing(
        title(message.task),
        pack(record),
        delay=0 if is_fifo else min(math.ceil(delay), LONGEST_DELAY),
        group=group or (message.id.hex() if is_fifo else None),
        deduplication=message.id.hex() if is_fifo else None,
    )
    most = settling.client.settings.max_message_bytes
    if sent.size + ROOM > most:
        raise MessageTooLargeForStore(
            f"A message must have at most {most:,} bytes in SQS (sqs.max_message_bytes), got {sent.size + ROOM:,} for "
            f"the task {message.task!r}. Store large data elsewhere and pass its key, or set a `state` store, which "
            "takes such messages."
        )
    if is_fifo and delay > 0:
        raise DriverError(
            f"A task of the FIFO queue {message.queue!r} must not have a delay, got {delay:.1f} s. SQS cannot delay "
            "single messages there: use a standard queue, or set a `state` store."
        )
    return sent
