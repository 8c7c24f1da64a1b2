"""SIGTERM and SIGINT: a loop has one handler for each, and a process may run several workers."""

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

logger = logging.getLogger("asynctasq")

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The terminal is gone."""
ECHO_SECONDS = 0.5
"""A signal that follows another this soon says the same once more: a service manager signals all
processes of a group, and a supervisor among them passes it on. People are slower."""
LOOK_SECONDS = 1.0
"""Between looks whether a task has taken the handlers away."""


def stop_signals_heard() -> Sequence[signal.Signals]:
    """What stops a worker; not a hang-up that is ignored, as `nohup` has it."""
    if _HANGUP is None or signal.getsignal(_HANGUP) is signal.SIG_IGN:
        return (signal.SIGTERM, signal.SIGINT)
    return (signal.SIGTERM, signal.SIGINT, _HANGUP)


class SignalDebouncer:
    """Tells a signal to stop from its echo."""

    def __init__(self) -> None:
        self._heard_at = -math.inf

    def is_new(self) -> bool:
        """Whether the signal that has just come is one of its own."""
        now = time.monotonic()
        new = now - self._heard_at >= ECHO_SECONDS
        if new:
            self._heard_at = now
        return new


class StopSignals:
    """Tells every worker of the process of each signal; leaves the handlers as they were at the end."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Callable[[signal.Signals], None]] = []
        self._former: dict[signal.Signals, Any] = {}
        self._own: dict[signal.Signals, Any] = {}
        self._watchers: list[Callable[[signal.Signals], None]] = []
        self._loop_fd = -1
        self._looking: asyncio.TimerHandle | None = None
        self._echoes = SignalDebouncer()
        self._stack = ExitStack()

    @contextmanager
    def told_to(self, listener: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Call `listener` on the running loop; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        if not self._listeners:
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
        """Call `watcher` from another thread at each of these signals, also while the loop is blocked."""
        self._watchers.append(watcher)
        try:
            with signal_tap.seen_by(self._show):
                yield
        finally:
            self._watchers.remove(watcher)

    def receive(self, number: signal.Signals) -> None:
        """Do what that signal does, from any thread."""
        self._show(number)
        if self._loop is not None:
            with suppress(RuntimeError):  # it has been closed
                self._loop.call_soon_threadsafe(self._tell, number)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._echoes = SignalDebouncer()
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop the hard way
            for each in stop_signals_heard():
                former = signal.getsignal(each)
                self._handle(loop, each)
                self._former[each] = former
            self._stack.enter_context(forks.undone_by(self._give_back))
            self._looking = loop.call_later(LOOK_SECONDS, self._look, loop)

    def _handle(self, loop: asyncio.AbstractEventLoop, each: signal.Signals) -> None:
        loop.add_signal_handler(each, self._tell, each)
        self._own[each] = signal.getsignal(each)
        self._loop_fd = signal.set_wakeup_fd(-1)  # there is no other way to ask for it
        signal.set_wakeup_fd(self._loop_fd)
        signal_tap.follow_loop()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take back what a task has taken: a worker that is deaf to SIGTERM ends by SIGKILL."""
        if not signal_tap.keep(self._loop_fd):
            logger.warning("A task has cut the event loop off from signals; they are heard again.")
        if not signal.pthread_sigmask(signal.SIG_UNBLOCK, self._own).isdisjoint(self._own):
            logger.warning(
                "A task has blocked the signals that stop its worker; they are heard again."
            )
        for each, own in tuple(self._own.items()):
            if signal.getsignal(each) is not own:
                logger.warning(
                    "A task has changed this process's handler of %s, which is for the worker to stop; "
                    "it is changed back.",
                    each.name,
                )
                self._handle(loop, each)
        self._looking = loop.call_later(LOOK_SECONDS, self._look, loop)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._loop = None
        signal_tap.leave_loop()
        self._stack.close()
        for each in self._former:
            loop.remove_signal_handler(each)
        self._own.clear()
        self._give_back()

    def _give_back(self) -> None:
        """Make the handlers what they were; all there is to do in a process that a task has forked."""
        while self._former:
            signal.signal(*self._former.popitem())

    def _show(self, number: int) -> None:
        """Call the watchers; in the tap's thread, or that of `receive`."""
        if number in set(stop_signals_heard()):
            for watcher in tuple(self._watchers):
                watcher(signal.Signals(number))

    def _tell(self, received: signal.Signals) -> None:
        if self._echoes.is_new():
            for listener in tuple(self._listeners):
                listener(received)


stop_signals = StopSignals()
"""Of the process, as signals are."""
