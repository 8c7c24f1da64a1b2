"""Enqueues that a store accepts in part, or does not answer: what may be repeated."""

import asyncio
from collections.abc import Iterable, Sequence

from asynctasq.backoff import Backoff
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver, Enqueued, EnqueuedPartly
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message

RETRIES = 3
"""Number of retries of an enqueue that got no answer; after the last one, it raises."""
BACKOFF = Backoff(first=0.05, longest=0.5, factor=4)
"""Pauses before these retries: 0.05, 0.2 and 0.5 seconds."""


def pauses_for(driver: Driver) -> Sequence[float]:
    """Return the pauses before the retries of an enqueue that got no answer.

    If the driver is not IDEMPOTENT, a retry may add the messages a second time, so there is only one.
    """
    pauses = [BACKOFF.pause(failures) for failures in range(1, RETRIES + 1)]
    return pauses if Capability.IDEMPOTENT in driver.capabilities else pauses[-1:]


async def finish_chunk(
    driver: Driver,
    messages: Sequence[Message],
    partly: EnqueuedPartly,
    pauses: Iterable[float],
) -> list[Enqueued]:
    """Send the messages of a chunk again for which the store had no answer, and no others.

    Args:
        driver: opened.
        messages: the chunk.
        partly: what the store answered.
        pauses: those of `pauses_for` that are left: a pause before each further retry.

    Raises:
        EnqueuedPartly: some messages are refused, or still without an answer.
    """
    answers: list[Enqueued | DriverError] = list(partly.answers)
    for pause in pauses:
        left = [n for n, answer in enumerate(answers) if isinstance(answer, DriverUnavailable)]
        if not left:
            break
        await asyncio.sleep(pause)
        for n, answer in zip(left, await _once(driver, [messages[n] for n in left]), strict=True):
            answers[n] = answer
    accepted = [answer for answer in answers if isinstance(answer, Enqueued)]
    if len(accepted) == len(answers):
        return accepted
    raise EnqueuedPartly(str(partly), answers=answers) from partly


async def _once(driver: Driver, messages: Sequence[Message]) -> Sequence[Enqueued | DriverError]:
    try:
        return await driver.enqueue(messages)
    except EnqueuedPartly as error:
        return error.answers
    except DriverError as error:
        return [error] * len(messages)
