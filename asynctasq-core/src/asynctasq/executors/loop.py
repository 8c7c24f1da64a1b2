"""Runs async tasks on the worker's event loop."""

import asyncio
import logging
from collections.abc import Awaitable
from time import monotonic
from typing import Any, TypeVar, cast

from asynctasq.contracts.executor import AttemptResult, Call, Failure, Returned
from asynctasq.errors import BodyError, TaskTimeout
from asynctasq.executors.failures import call_hook, classify_exception, run_failed
from asynctasq.executors.forks import forks
from asynctasq.executors.groups import is_a
from asynctasq.executors.unfinished import refuse_unfinished
from asynctasq.tasks.base import BaseTask

T = TypeVar("T")

logger = logging.getLogger("asynctasq")

REFUSAL_SECONDS = 5.0
"""A task that goes on for this long after its time-out is reported."""


class LoopExecutor:
    """Executor of the mode `loop`."""

    def __init__(self) -> None:
        self._depth = forks.depth

    async def start(self, *, concurrency: int) -> None:
        """Nothing to make ready."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    async def execute(self, call: Call) -> AttemptResult:
        """Await the task's `execute`, cancelling it at its time-out."""
        task: BaseTask[Any] | None = None
        try:
            task = call.load_now()
            if task is None:
                task = await call.load()
            timeout = call.policy.timeout
            try:
                if call.attended:
                    await call.enter()
                value = await (task.execute() if timeout is None else _within(task, timeout))
                if value is not None:
                    refuse_unfinished(call, value)
            finally:
                if forks.depth != self._depth:
                    forks.end()
                if call.attended:  # perhaps only since the task has run
                    await call.leave()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if task is None and is_a(error, BodyError):
                raise
            return await classify_exception(call, error, call_hook)
        return Returned(call.encode_result(value))

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the task's `failed` hook here."""
        await run_failed(call, failure, call_hook)


async def _within(task: BaseTask[Any], timeout: float) -> Any:
    return await within(cast("Awaitable[Any]", task.execute()), timeout, task)


async def within(
    work: Awaitable[T], timeout: float, task: BaseTask[Any], *, used: float = 0.0
) -> T:
    """Await the work of a task, and cancel it at its time-out.

    Args:
        work: the coroutine of the task's code.
        timeout: seconds.
        task: named in log lines.
        used: seconds of the time-out that are over.

    Raises:
        TaskTimeout: it has not ended in time, and was cancelled, unless it kept the loop from doing so.
            What it did then does not count: its outcome came too late.
    """
    left = timeout - used
    ends_at = monotonic() + left  # uvloop's own clock stands still while a task keeps the loop busy
    limit = asyncio.timeout(left)
    refusal = asyncio.get_running_loop().call_later(
        left + REFUSAL_SECONDS, _report_refusal, task, timeout
    )
    late: BaseException | None = None
    value = cast("T", None)
    try:
        async with limit:
            value = await work
    except asyncio.CancelledError:  # not from the time-out: that becomes a TimeoutError
        raise
    except BaseException as error:
        if not (limit.expired() or monotonic() >= ends_at):
            raise
        cancelled = type(error) is TimeoutError and error.__cause__
        late = cancelled or error
    finally:
        refusal.cancel()
    if late is not None or limit.expired() or monotonic() >= ends_at:
        raise overrun(timeout) from late
    return value


def overrun(timeout: float) -> TaskTimeout:
    """Make the error of a task that took longer than it may."""
    return TaskTimeout(f"The task took longer than its timeout of {timeout:g} s.")


def _report_refusal(task: BaseTask[Any], timeout: float) -> None:
    logger.warning(
        "Task %s of %s has passed its timeout of %g s by %g s and still runs, keeping its slot: it swallows "
        "its cancellation.",
        task._task_id,
        type(task).__qualname__,
        timeout,
        REFUSAL_SECONDS,
    )
