"""Threads that run functions for an event loop, and tell it of many ends at once.

`concurrent.futures` wakes the loop for each of them, and takes some locks besides: that costs several
times what a short task does.
"""

import asyncio
import contextvars
import itertools
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

_numbers = itertools.count()


class ThreadRun(Generic[T]):
    """A function on its way through a thread."""

    __slots__ = ("context", "done", "ended", "function", "overdue", "raised", "returned")

    def __init__(self, function: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.function = function
        self.context = contextvars.copy_context()
        self.done: asyncio.Future[None] = loop.create_future()
        """Cancelled with whoever awaits it; `ended` tells whether the function has ended."""
        self.ended = False
        self.overdue = False
        self.returned: T | None = None
        self.raised: BaseException | None = None
        """Not the future's exception: a future cannot hold a `StopIteration`."""

    def value(self) -> T:
        """What the function returned; raises what it raised."""
        if self.raised is not None:
            raise self.raised
        return cast("T", self.returned)

    async def end(self) -> None:
        """Return when the function has ended: a thread cannot be stopped.

        Raises:
            asyncio.CancelledError: this was cancelled meanwhile, and the function did not return.
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
    """Up to `size` threads, each started when there is none to spare."""

    def __init__(self, size: int) -> None:
        """Make a pool for the running loop."""
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[ThreadRun[Any] | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._finished: deque[ThreadRun[Any]] = deque()
        self._told = False

    def run(self, function: Callable[[], T]) -> ThreadRun[T]:
        """Have a function run, in a copy of the caller's context."""
        run = ThreadRun(function, self._loop)
        self._unfinished += 1
        if self._threads < min(self._unfinished, self._size):
            self._threads += 1
            # A daemon: one that is stuck in a task must not keep the process.
            threading.Thread(
                target=self._work, name=f"asynctasq-task-{next(_numbers)}", daemon=True
            ).start()
        self._queue.put(run)
        return run

    def close(self) -> None:
        """Let the threads end, each after what it runs."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            try:
                run.returned = run.context.run(run.function)
            except BaseException as error:
                run.raised = error
            self._finished.append(run)
            del run
            if not self._told:
                self._told = True
                with suppress(RuntimeError):  # the loop was closed under us
                    self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._told = False  # first: what ends from here on tells anew
        while self._finished:
            run = self._finished.popleft()
            self._unfinished -= 1
            run.ended = True
            if not run.done.done():
                run.done.set_result(None)
