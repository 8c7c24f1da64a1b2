"""The executor that runs async tasks on the event loop of the worker."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, TypeVar, cast

from asynctasq.contracts.executor import AttemptResult, Call, Failure, Returned
from asynctasq.errors import BodyError, TaskTimeout
from asynctasq.executors.failures import call_hook, classify_exception, run_failed
from asynctasq.executors.forks import forks
from asynctasq.executors.groups import is_a
from asynctasq.executors.unfinished import refuse_unfinished
from asynctasq.records import record
from asynctasq.tasks.base import BaseTask

T = TypeVar("T")

logger = logging.getLogger("asynctasq")


@record
class LoopTiming:
    """Durations of the executor, in seconds."""

    refusal: float = 5.0
    """Time after its timeout at which a task that still runs is reported."""


TIMING = LoopTiming()


class LoopExecutor:
    """Executor of the mode `loop`."""

    def __init__(self, timing: LoopTiming = TIMING) -> None:
        self.timing = timing
        """Durations, for tasks that start from now on."""
        self._depth = forks.depth

    async def start(self, *, concurrency: int) -> None:
        """Do nothing: the event loop is ready."""

    async def stop(self) -> None:
        """Do nothing: the executor holds no resources."""

    async def execute(self, call: Call) -> AttemptResult:
        """Await the task's `execute`, and cancel it at its timeout."""
        task: BaseTask[Any] | None = None
        try:
            task = call.load_now()
            if task is None:
                task = await call.load()
            timeout = call.policy.timeout
            try:
                if call.attended:
                    await call.enter()
                surrounding = call.surrounding
                if surrounding is not None:
                    value = await _surrounded(surrounding, task, timeout, self.timing)
                else:
                    value = await (
                        task.execute() if timeout is None else _within(task, timeout, self.timing)
                    )
                if value is not None:
                    refuse_unfinished(call, value)
            finally:
                if forks.depth != self._depth:
                    forks.end()
                if call.attended:  # the task may have registered cleanups
                    await call.leave()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if task is None and is_a(error, BodyError):
                raise
            return await classify_exception(call, error, call_hook)
        return Returned(call.encode_result(value))

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the `failed` hook of the task on the event loop."""
        await run_failed(call, failure, call_hook)


async def _surrounded(
    surrounding: AbstractContextManager[object],
    task: BaseTask[Any],
    timeout: float | None,
    timing: LoopTiming,
) -> Any:
    with surrounding:
        if timeout is not None:
            return await _within(task, timeout, timing)
        return await cast("Awaitable[Any]", task.execute())


async def _within(task: BaseTask[Any], timeout: float, timing: LoopTiming) -> Any:
    return await within(cast("Awaitable[Any]", task.execute()), timeout, task, timing=timing)


async def within(
    work: Awaitable[T],
    timeout: float,
    task: BaseTask[Any],
    *,
    used: float = 0.0,
    timing: LoopTiming = TIMING,
) -> T:
    """Await the work of a task, and cancel it at its timeout.

    Args:
        work: the coroutine of the task's code.
        timeout: seconds.
        task: named in log lines.
        used: seconds of the timeout that have passed.
        timing: of the executor.

    Raises:
        TaskTimeout: it did not end in time. It was cancelled, unless it blocked the loop; its outcome
            does not count then, because it came too late.
    """
    left = timeout - used
    ends_at = monotonic() + left  # uvloop's own clock stands still while a task keeps the loop busy
    limit = asyncio.timeout(left)
    refusal = asyncio.get_running_loop().call_later(
        left + timing.refusal, _report_refusal, task, timeout, timing.refusal
    )
    late: BaseException | None = None
    value = cast("T", None)
    try:
        async with limit:
            value = await work
    except asyncio.CancelledError:  # not by the timeout, which becomes a TimeoutError
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
    """Return the error of a task that exceeded its timeout."""
    return TaskTimeout(f"The task took longer than its timeout of {timeout:g} s.")


def _report_refusal(task: BaseTask[Any], timeout: float, late: float) -> None:
    logger.warning(
        "Task %s of %s exceeded its timeout of %g s by %g s and still holds its slot, because it ignores its "
        "cancellation",
        task._task_id,
        type(task).__qualname__,
        timeout,
        late,
    )
