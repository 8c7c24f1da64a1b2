"""Functions around the execution of one call, for plugins that wrap or observe it."""

import time
from collections.abc import Awaitable, Callable

from asynctasq.contracts.executor import AttemptResult, Call, Wrapper
from asynctasq.worker.call import WorkerCall


async def timed(
    execute: Callable[[WorkerCall], Awaitable[AttemptResult]], call: WorkerCall
) -> AttemptResult:
    """Run a call, and note how long that takes."""
    began = time.monotonic()
    try:
        return await execute(call)
    finally:
        call.notes.duration = time.monotonic() - began


async def checked(wrapped: Wrapper, call: Call) -> AttemptResult:
    """Return the outcome of a plugin's wrapper.

    Raises:
        TypeError: it is not an outcome.
    """
    attempt: object = await wrapped(call)
    if isinstance(attempt, AttemptResult):
        return attempt
    raise TypeError(f"wrap_execute of a plugin must return the outcome of a task, got {attempt!r}.")
