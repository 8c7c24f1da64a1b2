"""Finishing a piece of work although its caller is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def uncancelled(
    work: Awaitable[T], *, on_cancel: Callable[[], None] | None = None
) -> tuple[T, bool]:
    """Await some work to its end, even if the caller is cancelled meanwhile.

        answers, cancelled = await uncancelled(driver.settle(batch))

    The caller decides what a cancellation means: raise `CancelledError` once the answers are stored, for
    example. Do not use this for work that may never end.

    Args:
        work: a coroutine or future.
        on_cancel: called at each cancellation, to hurry the work along.

    Returns:
        The result of the work, and True if the caller was cancelled before the work ended.
    """
    running = asyncio.ensure_future(work)
    cancelled = False
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            cancelled = True
            if on_cancel is not None:
                on_cancel()
    return running.result(), cancelled
