"""SIGTERM and SIGINT: an event loop has one handler for each, and a process may run several workers."""

import asyncio
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from asynctasq.executors.forks import forks
from asynctasq.worker.process.signal_tap import signal_tap
from asynctasq.worker.timing import SignalTiming

logger = logging.getLogger("asynctasq")

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""Signal of a closed terminal."""


def stop_signal_numbers() -> Sequence[signal.Signals]:
    """Return the signals that stop a worker, without SIGHUP if it is ignored, as under `nohup`."""
    if _HANGUP is None or signal.getsignal(_HANGUP) is signal.SIG_IGN:
        return (signal.SIGTERM, signal.SIGINT)
    return (signal.SIGTERM, signal.SIGINT, _HANGUP)


class SignalDebouncer:
    """Distinguishes a new stop signal from a repetition of the last one."""

    def __init__(self, timing: SignalTiming | None = None) -> None:
        self._echo = (timing or SignalTiming()).echo
        self._received_at = -math.inf

    def is_new(self) -> bool:
        """Note a signal, and return whether it is new."""
        now = time.monotonic()
        new = now - self._received_at >= self._echo
        if new:
            self._received_at = now
        return new


class StopSignals:
    """Passes stop signals to every worker of the process, and restores the former handlers at the end."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[signal.Signals], None]] = []
        self._former: dict[signal.Signals, Any] = {}
        self._own: dict[signal.Signals, Any] = {}
        self._watchers: list[Callable[[signal.Signals], None]] = []
        self._loop_fd = -1
        self._checking: asyncio.TimerHandle | None = None
        self._timing = SignalTiming()
        self._debouncer = SignalDebouncer()
        self._stack = ExitStack()

    @contextmanager
    def passed_to(
        self, listener: Callable[[signal.Signals], None], *, timing: SignalTiming | None = None
    ) -> Iterator[None]:
        """Call `listener` on the running loop; does nothing outside the main thread.

        Args:
            listener: called with each new signal.
            timing: durations, if this is the first listener.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        if not self._listeners:
            self._timing = timing or SignalTiming()
            self._listen(loop)
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
            if not self._listeners:
                self._leave(loop)

    @contextmanager
    def watched_by(self, watcher: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Call `watcher` from another thread at each stop signal, also while the loop is blocked."""
        self._watchers.append(watcher)
        try:
            with signal_tap.passed_to(self._show):
                yield
        finally:
            self._watchers.remove(watcher)

    def receive(self, number: signal.Signals) -> None:
        """Have the effect of a signal. Any thread may call this."""
        self._show(number)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._pass_on, number)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._debouncer = SignalDebouncer(self._timing)
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop the hard way
            for each in stop_signal_numbers():
                former = signal.getsignal(each)
                self._handle(loop, each)
                self._former[each] = former
            self._stack.enter_context(forks.undone_by(self._restore))
            self._checking = loop.call_later(self._timing.check, self._check, loop)

    def _handle(self, loop: asyncio.AbstractEventLoop, each: signal.Signals) -> None:
        loop.add_signal_handler(each, self._pass_on, each)
        self._own[each] = signal.getsignal(each)
        self._loop_fd = signal.set_wakeup_fd(-1)  # there is no other way to read it
        signal.set_wakeup_fd(self._loop_fd)
        signal_tap.follow_loop()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """Restore the handlers that a task has changed: a worker that ignores SIGTERM is killed in the end."""
        if not signal_tap.keep(self._loop_fd):
            logger.warning(
                "A task replaced the signal wakeup fd; restored the worker's signal handling"
            )
        if not signal.pthread_sigmask(signal.SIG_UNBLOCK, self._own).isdisjoint(self._own):
            logger.warning("A task blocked the signals that stop its worker; unblocked them")
        for each, own in tuple(self._own.items()):
            if signal.getsignal(each) is not own:
                logger.warning(
                    "A task changed this process's handler of %s, which stops the worker; restored it",
                    each.name,
                )
                self._handle(loop, each)
        self._checking = loop.call_later(self._timing.check, self._check, loop)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        self._loop = None
        signal_tap.leave_loop()
        self._stack.close()
        for each in self._former:
            loop.remove_signal_handler(each)
        self._own.clear()
        self._restore()

    def _restore(self) -> None:
        """Restore the former handlers. A process that a task has forked needs no more than this."""
        while self._former:
            signal.signal(*self._former.popitem())

    def _show(self, number: int) -> None:
        """Call the watchers, in the thread of the tap or of `receive`."""
        if number in set(stop_signal_numbers()):
            for watcher in tuple(self._watchers):
                watcher(signal.Signals(number))

    def _pass_on(self, received: signal.Signals) -> None:
        if self._debouncer.is_new():
            for listener in tuple(self._listeners):
                listener(received)


stop_signals = StopSignals()
"""Shared by the whole process, as signals are."""
