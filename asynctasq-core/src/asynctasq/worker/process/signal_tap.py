"""Receiving signals at once, in a separate thread, even while the main thread is blocked."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

READ_BYTES = 64


class SignalTap:
    """Receives each signal that Python has a handler for, and passes it on to the event loop.

    The system writes such a signal to one descriptor, at once and even while the main thread is blocked.
    That descriptor is usually the event loop's, which looks at it only when it runs.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[int], None]] = []
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._loop_fd = -1
        self._thread: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """True while there is a listener."""
        return self._ends is not None

    @contextmanager
    def passed_to(self, listener: Callable[[int], None]) -> Iterator[None]:
        """Call `listener` with the number of each signal, from another thread.

        Enter this in the main thread; it does nothing in other threads.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            self._open()
        try:
            yield
        finally:
            self._listeners.remove(listener)
            if not self._listeners:
                self._close()

    def follow_loop(self) -> None:
        """Insert the tap before the running loop, which has just taken the descriptor."""
        if self._ends is not None:
            own = self._ends[1].fileno()
            found = signal.set_wakeup_fd(own, warn_on_full_buffer=False)
            self._loop_fd = self._loop_fd if found == own else found

    def leave_loop(self) -> None:
        """Return the descriptor to the loop, which is about to end."""
        if self._ends is not None:
            signal.set_wakeup_fd(self._loop_fd)
            self._loop_fd = -1

    def keep(self, loop_fd: int) -> bool:
        """Restore the descriptor; False if a task had changed it.

        Args:
            loop_fd: the loop's own descriptor, which it may set again at any time.
        """
        own = loop_fd if self._ends is None else self._ends[1].fileno()
        return signal.set_wakeup_fd(own, warn_on_full_buffer=False) in {own, loop_fd}

    def _open(self) -> None:
        self._ends = (read, write) = socket.socketpair()
        write.setblocking(False)
        self._loop_fd = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(
            target=self._pass_on, args=(read,), name="asynctasq-signals", daemon=True
        )
        self._thread.start()

    def _close(self) -> None:
        assert self._ends is not None, "it is open"
        assert self._thread is not None, "same"
        self.leave_loop()
        read, write = self._ends
        self._ends = None
        with suppress(BlockingIOError):  # full: the thread ends with the process
            # Closing is not enough: processes that tasks have forked hold it, too.
            write.send(b"\0")
            self._thread.join()
        write.close()
        read.close()

    def _pass_on(self, read: socket.socket) -> None:
        while numbers := read.recv(READ_BYTES):
            for number in filter(None, numbers):
                for listener in tuple(self._listeners):
                    listener(number)
            if self._loop_fd >= 0:
                with suppress(OSError):  # the loop is closed, or has been blocked for long
                    os.write(self._loop_fd, bytes(filter(None, numbers)))
            if 0 in numbers:
                return


signal_tap = SignalTap()
"""Shared by the whole process, as signals are."""
