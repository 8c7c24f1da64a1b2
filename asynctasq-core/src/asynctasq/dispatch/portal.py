"""Calls of async code from code without an event loop, on a thread that has one."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from asynctasq.errors import DispatchError

T = TypeVar("T")

CLOSE_SECONDS = 10.0
"""Longest time for closing, which sends the messages that wait."""


class BlockingPortal:
    """A daemon thread that runs an event loop; started at the first call, and again in a forked child."""

    def __init__(self, at_exit: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make a portal.

        Args:
            at_exit: makes the coroutine that runs on the loop before it is closed.
        """
        self._at_exit = at_exit
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    @property
    def is_open(self) -> bool:
        """True while the thread runs in this process."""
        return self._loop is not None and self._process == os.getpid()

    def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        *,
        instead: str,
        undelivered: Callable[[T], object] | None = None,
    ) -> T:
        """Run a coroutine on the thread, and wait for it. Ctrl-C cancels it.

        Args:
            make: makes the coroutine.
            instead: the code to use where an event loop runs; shown in the error.
            undelivered: called with the outcome if Ctrl-C interrupted the caller.

        Raises:
            RuntimeError: an event loop runs in this thread, which the call would block.
            DispatchError: the thread could not be started; nothing was done.
        """
        if _is_loop_running():
            raise RuntimeError(f"An event loop runs in this thread. Use {instead}.")
        loop = self._running_loop()
        delivery: _Delivery[T] = _Delivery(loop, undelivered)
        try:  # Ctrl-C may arrive before there is a future to wait for
            return asyncio.run_coroutine_threadsafe(delivery.fill(make), loop).result()
        except BaseException:
            delivery.give_up()
            raise

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the thread, without waiting for it. `close` cancels it.

        Raises:
            DispatchError: the thread could not be started.
        """
        asyncio.run_coroutine_threadsafe(work, self._running_loop())

    def close(self) -> None:
        """Stop the thread. Idempotent; safe in a forked child."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            if loop is None or thread is None or self._process != os.getpid():
                return
            atexit.unregister(self.close)
        with suppress(TimeoutError):  # a store that does not answer must not keep the program alive
            asyncio.run_coroutine_threadsafe(self._close_all(), loop).result(CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _close_all(self) -> None:
        await self._at_exit()
        # Threads that wait for an answer would wait forever once the loop has stopped.
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop, self._thread = _started()
                self._process = os.getpid()
                atexit.register(self.close)
            return self._loop


class _Delivery(Generic[T]):
    """Delivers one outcome to the thread that waits for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, undelivered: Callable[[T], object] | None
    ) -> None:
        self._loop = loop
        self._undelivered = undelivered
        self._lock = threading.Lock()
        self._given_up = False
        self._working: asyncio.Task[Any] | None = None
        self._outcome: list[T] = []

    async def fill(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the work on the loop of the portal, unless the thread has given up waiting."""
        self._start()
        outcome = await make()
        with self._lock:
            self._outcome.append(outcome)
            if self._given_up:
                self._return()
        return outcome

    def _start(self) -> None:
        with self._lock:
            if self._given_up:
                raise asyncio.CancelledError
            self._working = asyncio.current_task()

    def give_up(self) -> None:
        """Cancel the work, and return its outcome to `undelivered` if it has one."""
        with self._lock:
            self._given_up = True
            self._return()
            if self._working is not None:
                with suppress(RuntimeError):  # the loop is closed, and the work has ended
                    self._loop.call_soon_threadsafe(self._working.cancel)

    def _return(self) -> None:
        if self._outcome and self._undelivered is not None:
            self._undelivered(self._outcome.pop())


def _started() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """Return a loop and the thread that runs it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="asynctasq-portal", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        loop.close()
        raise DispatchError(
            f"Could not start the background thread for dispatch_sync(); nothing was dispatched: {error}. "
            "Python cannot start threads during interpreter shutdown: dispatch before that. Otherwise, "
            "this process has reached its limit of threads."
        ) from error
    return loop, thread


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
