"""Runs sync tasks in threads."""

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar, cast

from asynctasq.contracts.executor import Attempt, Call, Failure, Returned
from asynctasq.errors import BodyError, TaskTimeout
from asynctasq.executors.asking import judge, refuse_coroutine, run_failed
from asynctasq.records import record
from asynctasq.tasks.base import BaseTask

logger = logging.getLogger("asynctasq")

T = TypeVar("T")


class ThreadExecutor:
    """Executor of the mode `thread`.

    A thread cannot be stopped. At its time-out the task is reported and keeps its slot and its lease
    until the thread ends, so that no second run of it goes on beside the first; then its outcome is
    discarded. One that is to be interrupted is waited for in the same way; if it returns, its work
    is done, and counts.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def start(self, *, concurrency: int) -> None:
        """Make room for that many threads; each is started when first needed."""
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="asynctasq-task")

    async def stop(self) -> None:
        """Let idle threads end; a thread that is stuck in a task is left behind."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def execute(self, call: Call) -> Attempt:
        """Run the task's `execute` in a thread."""
        task: BaseTask[Any] | None = None
        try:
            task = await call.load()
            ended = await self._within(task.execute, call)
            value = ended.value()
            refuse_coroutine(value)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if task is None and isinstance(error, BodyError):
                raise
            return await judge(call, error, self._ask)
        return Returned(call.encode_result(value))

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the task's `failed` hook in a thread, or here if it is async."""
        await run_failed(call, failure, self._ask)

    async def _within(self, function: Callable[[], T], call: Call) -> "_Ended[T]":
        timeout = call.policy.timeout
        waiter = self._start(function)
        if timeout is not None:
            try:
                await asyncio.wait([waiter], timeout=timeout)
            except asyncio.CancelledError:
                return await _end_of(waiter, cancelled=True)
            if not waiter.done():
                call.interrupt()
                logger.warning(
                    "The task %s has passed its timeout of %g s in a thread, which cannot be stopped: it "
                    "keeps its slot until it ends, and its outcome is discarded.",
                    call.definition.name,
                    timeout,
                )
                await _end_of(waiter)
                raise TaskTimeout(f"The task took longer than its timeout of {timeout:g} s.")
        return await _end_of(waiter)

    async def _ask(self, method: Callable[[Exception], Any], exception: Exception) -> Any:
        answer = (await _end_of(self._start(partial(method, exception)))).value()
        return await answer if inspect.isawaitable(answer) else answer

    def _start(self, function: Callable[[], T]) -> "asyncio.Future[_Ended[T]]":
        assert self._threads is not None, "start() comes first"
        context = contextvars.copy_context()
        return asyncio.wrap_future(self._threads.submit(context.run, _run, function))


@record
class _Ended(Generic[T]):
    """How a function ended. Not a future's exception: a future cannot hold a `StopIteration`."""

    returned: T | None
    raised: BaseException | None

    def value(self) -> T:
        if self.raised is not None:
            raise self.raised
        return cast("T", self.returned)


def _run(function: Callable[[], T]) -> _Ended[T]:
    try:
        return _Ended(function(), None)
    except BaseException as error:
        return _Ended(None, error)


async def _end_of(waiter: "asyncio.Future[_Ended[T]]", *, cancelled: bool = False) -> _Ended[T]:
    """Await a thread's end. A cancellation is passed on only then, and not if it has done its work."""
    while not waiter.done():
        try:
            await asyncio.wait([waiter])
        except asyncio.CancelledError:
            cancelled = True
    ended = waiter.result()
    if cancelled and ended.raised is not None:
        raise asyncio.CancelledError
    return ended
