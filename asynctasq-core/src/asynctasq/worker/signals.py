"""SIGTERM and SIGINT: a loop has one handler for each, and a process may run several workers."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Tells every worker of the process of each signal; leaves the handlers as they were at the end."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[signal.Signals], None]] = []
        self._former: dict[signal.Signals, Any] = {}

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

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop the hard way
            for each in STOP_SIGNALS:
                former = signal.getsignal(each)
                loop.add_signal_handler(each, self._tell, each)
                self._former[each] = former

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._former:
            each, former = self._former.popitem()
            loop.remove_signal_handler(each)
            signal.signal(each, former)

    def _tell(self, received: signal.Signals) -> None:
        for listener in tuple(self._listeners):
            listener(received)


stop_signals = StopSignals()
"""Of the process, as signals are."""
