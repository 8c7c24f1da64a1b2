"""Threads that run functions for an event loop, and report several results with one wakeup.

`concurrent.futures` wakes the loop for each result and takes several locks, which costs several times as
much as a short task.
"""

import asyncio
import contextvars
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, islice
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

from asynctasq.executors.forks import forks

T = TypeVar("T")

logger = logging.getLogger("asynctasq")

_numbers = count()
_CLOSED: deque[Any] = deque([None])


class ThreadRun(Generic[T]):
    """One run of a function in a thread."""

    __slots__ = ("begun", "context", "done", "ended", "function", "overdue", "raised", "returned")

    def __init__(self, function: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.function = function
        self.context = contextvars.copy_context()
        self.done: asyncio.Future[None] = loop.create_future()
        """Cancelled together with the caller; `ended` is true if the function has ended."""
        self.begun = False
        self.ended = False
        self.overdue = False
        self.returned: T | None = None
        self.raised: BaseException | None = None
        """The exception. The future does not hold it, because it cannot hold a `StopIteration`."""

    def value(self) -> T:
        """Return the result of the function, or raise its exception."""
        if self.raised is not None:
            raise self.raised
        return cast("T", self.returned)

    async def end(self) -> None:
        """Return when the function has ended: a thread cannot be stopped.

        Raises:
            asyncio.CancelledError: the caller was cancelled, and the function did not return.
        """
        cancelled = False
        while not self.ended:
            try:
                await self.done
            except asyncio.CancelledError:
                cancelled = True
                self.done = asyncio.get_running_loop().create_future()
        if cancelled and (self.raised is not None or self.overdue):
            raise asyncio.CancelledError


class ThreadPool:
    """Up to `size` threads; one is started when no other is idle."""

    def __init__(self, size: int) -> None:
        """Create a pool for the running loop."""
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[ThreadRun[Any] | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._finished: deque[ThreadRun[Any]] = deque()
        self._is_notified = False
        self._depth = forks.depth

    def run(self, function: Callable[[], T]) -> ThreadRun[T]:
        """Start a run of a function in a copy of the caller's context.

        Raises:
            RuntimeError, MemoryError: a thread is needed and cannot be started; the function will not run.
        """
        run = ThreadRun(function, self._loop)
        if self._threads < min(self._unfinished + 1, self._size):
            # A daemon thread: a stuck task must not keep the process alive.
            threading.Thread(
                target=self._work, name=f"asynctasq-task-{next(_numbers)}", daemon=True
            ).start()
            self._threads += 1
        self._queue.put(run)
        self._unfinished += 1
        return run

    def close(self) -> None:
        """Stop the threads, each after its current run."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        watched = sys.gettrace(), sys.getprofile()
        queue: Iterator[ThreadRun[Any] | None] = iter(self._queue.get, ...)
        taken: deque[ThreadRun[Any] | None] = deque(maxlen=1)
        while taken != _CLOSED:
            # Another thread may throw an error into this one, by `PyThreadState_SetAsyncExc`, and too late
            # for its task. So a run that is taken is kept in the same step, and reported in the end.
            try:
                while True:
                    if not taken:
                        taken.extend(islice(queue, 1))
                    run = taken[0]
                    if run is None:
                        break
                    if not run.begun:
                        self._run(run, watched)
                    self._report(run)
                    taken.clear()
                    del run
            except BaseException:
                logger.warning("An error was thrown into a thread after its task had ended")

    def _run(self, run: ThreadRun[Any], watched: tuple[Any, Any]) -> None:
        run.begun = True
        try:
            run.returned = run.context.run(run.function)
        except BaseException as error:
            run.raised = error
        if sys.gettrace() is not watched[0] or sys.getprofile() is not watched[1]:
            sys.settrace(watched[0])  # the tracer of a task must not watch the next task
            sys.setprofile(watched[1])
        if forks.depth != self._depth:
            forks.end()

    def _report(self, run: ThreadRun[Any]) -> None:
        self._finished.append(run)
        if not self._is_notified:
            self._is_notified = True
            try:
                self._loop.call_soon_threadsafe(self._take_finished)
            except RuntimeError:
                return  # the loop is closed
            except BaseException:
                self._is_notified = False  # `_work` reports this run again
                raise

    def _take_finished(self) -> None:
        self._is_notified = (
            False  # first: a run that ends from here on calls `_take_finished` again
        )
        while self._finished:
            run = self._finished.popleft()
            if run.ended:  # reported twice: an error was thrown into the thread just then
                continue
            self._unfinished -= 1
            run.ended = True
            if not run.done.done():
                run.done.set_result(None)
