"""Adding messages to the two stores."""

from collections.abc import Awaitable, Callable, Sequence

from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.drivers.composed.parts import QueueDriver, StateDriver
from asynctasq.drivers.composed.placing import Limits
from asynctasq.errors import DriverError
from asynctasq.message import Message


async def enqueue_in_both(
    queue: QueueDriver,
    state: StateDriver,
    messages: Sequence[Message],
    *,
    limits: Limits,
    now: float,
) -> list[Enqueued]:
    """Add each message to the store that can hold it, first to the state store. Answer in order.

    Raises:
        EnqueuedPartly: one of the stores has accepted messages, and the other has refused some.
        DriverError: no message is stored, or the only store that was asked gave no answer.
    """
    for message in messages:
        check_numbers(message)
    fits = [limits.fits(message, now) for message in messages]
    if all(fits):
        return await queue.enqueue(messages)
    if not any(fits):
        return await state.enqueue(messages)
    answers: list[Enqueued | DriverError] = [DriverError("")] * len(messages)
    for enqueue, is_queue in ((state.enqueue, False), (queue.enqueue, True)):
        places = [place for place, fit in enumerate(fits) if fit is is_queue]
        part = await _answers_of(enqueue, [messages[place] for place in places])
        for place, answer in zip(places, part, strict=True):
            answers[place] = answer
    refused = [answer for answer in answers if isinstance(answer, DriverError)]
    if refused:
        raise EnqueuedPartly(
            f"{len(refused)} of {len(messages)} messages were not stored: {refused[0]}",
            answers=answers,
        )
    return [answer for answer in answers if isinstance(answer, Enqueued)]


async def _answers_of(
    enqueue: Callable[[Sequence[Message]], Awaitable[list[Enqueued]]], messages: Sequence[Message]
) -> Sequence[Enqueued | DriverError]:
    """Return the answer of a store to each message."""
    try:
        return await enqueue(messages)
    except EnqueuedPartly as partly:
        return partly.answers
    except DriverError as error:
        return [error] * len(messages)
