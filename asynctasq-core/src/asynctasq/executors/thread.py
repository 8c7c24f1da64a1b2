"""The executor that runs sync tasks in threads."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from asynctasq.contracts.executor import AttemptResult, Call, Failure, Returned
from asynctasq.errors import BodyError, ExecutorUnavailable
from asynctasq.executors.failures import await_here, classify_exception, run_failed
from asynctasq.executors.groups import is_a
from asynctasq.executors.loop import overrun, within
from asynctasq.executors.start_pauses import StartPauses
from asynctasq.executors.surrounding import surrounded
from asynctasq.executors.thread_pool import ThreadPool, ThreadRun
from asynctasq.executors.unfinished import passes_coroutine, refuse_unfinished
from asynctasq.tasks.base import BaseTask

logger = logging.getLogger("asynctasq")


class ThreadExecutor:
    """Executor of the mode `thread`.

    A thread cannot be stopped. A task that exceeds its timeout is logged and keeps its slot and its lease
    until the thread ends, so that it does not run twice at the same time; then its outcome is
    discarded. The executor waits in the same way for a task that it interrupts; if the task returns, its
    work is done and counts. In both cases, `current_task().cancelled` is true in the task.
    """

    def __init__(self) -> None:
        self._threads: ThreadPool | None = None
        self._pauses = StartPauses("threads")

    async def start(self, *, concurrency: int) -> None:
        """Prepare for that many threads; each starts when it is first needed."""
        self._threads = ThreadPool(concurrency)

    async def stop(self) -> None:
        """Stop idle threads, and abandon a thread that is stuck in a task."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    async def execute(self, call: Call) -> AttemptResult:
        """Run `execute` of the task in a thread."""
        task: BaseTask[Any] | None = None
        timeout = call.policy.timeout
        try:
            task = await call.load()
            run = self._run(partial(call.run_here, surrounded(call, task.execute)))
            began_at = monotonic()
            if timeout is None:
                await run.end()
            else:
                await _end_within(run, call, timeout)
            value = run.value()
            if passes_coroutine(task, value):
                if timeout is not None:
                    value = within(value, timeout, task, used=monotonic() - began_at)
                value = await await_here(call, value)
            refuse_unfinished(call, value)
        except (asyncio.CancelledError, ExecutorUnavailable):
            raise
        except BaseException as error:
            if task is None and is_a(error, BodyError):
                raise
            return await classify_exception(call, error, self._ask)
        return Returned(call.encode_result(value))

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the `failed` hook of the task in a thread, or on the event loop if it is async."""
        await run_failed(call, failure, self._ask)

    async def _ask(
        self, call: Call, method: Callable[[Exception], Any], exception: Exception
    ) -> Any:
        run = await self._run_hook(partial(call.run_here, partial(method, exception)))
        await run.end()
        answer = run.value()
        return await await_here(call, answer) if inspect.isawaitable(answer) else answer

    def _run(self, function: Callable[[], Any]) -> ThreadRun[Any]:
        """Run a function in a thread.

        Raises:
            ExecutorUnavailable: a new thread is needed, and Python cannot start one.
        """
        assert self._threads is not None, "start() comes first"
        try:
            run = self._threads.run(function)
        except (RuntimeError, MemoryError) as error:
            raise ExecutorUnavailable(
                f"Could not start a thread: {error or type(error).__name__}.",
                retry_after=self._pauses.failed(error),
            ) from error
        self._pauses.succeeded()
        return run

    async def _run_hook(self, function: Callable[[], Any]) -> ThreadRun[Any]:
        """Run a hook as soon as a thread is available, because the attempt itself is over."""
        while True:
            try:
                return self._run(function)
            except ExecutorUnavailable as error:
                await asyncio.sleep(error.retry_after)


async def _end_within(run: ThreadRun[Any], call: Call, timeout: float) -> None:
    """Wait for the end of a run.

    Raises:
        TaskTimeout: the run ended after the timeout.
    """

    def overdue() -> None:
        if run.ended:
            return
        run.overdue = True
        call.interrupt()
        logger.warning(
            "Task %s exceeded its timeout of %g s in a thread, which cannot be stopped: it "
            "holds its slot until it ends, and its outcome is discarded",
            call.definition.name,
            timeout,
        )

    timer = asyncio.get_running_loop().call_later(timeout, overdue)
    try:
        await run.end()
    finally:
        timer.cancel()
    if run.overdue:
        raise overrun(timeout)
