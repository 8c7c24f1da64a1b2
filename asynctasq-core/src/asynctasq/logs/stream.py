"""The handler of a worker's log lines, which does not block on a pipe without a reader."""

import logging
import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from time import monotonic
from typing import TextIO

PATIENCE_SECONDS = 1.0
"""Time for which a record waits for room in a full pipe or socket."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr. A record is dropped if a full pipe or socket has no room for it in time.

    A write that blocks would block the event loop, the renewal of leases and the handling of signals
    with it, in each worker and in the supervisor.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._send = _sender_of(self.stream)
        self._dropped = 0
        """Number of records since the last one that was written."""
        self._torn = False
        """True while the end of a line is missing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, with a line about those that were dropped before."""
        if self._send is None:
            super().emit(record)
            return
        try:
            text = self.format(record) + self.terminator
            if self._dropped:
                lost = f"asynctasq: {self._dropped} log records were dropped: stderr was full."
                text = f"{lost}{self.terminator}{text}"
            if self._torn:
                text = f"{self.terminator}{text}"
            data = text.encode("utf-8", "backslashreplace")
            self._dropped = 0 if self._write(data, self._send) else self._dropped + 1
        except Exception:  # noqa: BLE001  as every handler does
            self.handleError(record)

    def _write(self, data: bytes, send: Callable[[bytes], int]) -> bool:
        """Write all of it, or at least its beginning; False if there was no room."""
        due = monotonic() + (0 if self._dropped else PATIENCE_SECONDS)
        begun = False
        while data:
            try:
                data = data[send(data) :]
                begun = True
                self._torn = bool(data)
            except BlockingIOError:
                if begun and self._dropped:  # the reader continues
                    due, self._dropped = monotonic() + PATIENCE_SECONDS, 0
                left = due - monotonic()
                if left <= 0:
                    return begun
                poll = select.poll()
                poll.register(self.stream.fileno(), select.POLLOUT)
                poll.poll(left * 1000)
        return True


def _sender_of(stream: TextIO | None) -> Callable[[bytes], int] | None:
    """Return a function that writes without waiting; None where that is impossible or unnecessary.

    It opens the pipe a second time, as a flag on the first descriptor would affect all processes that share it.
    """
    try:
        fd = stream.fileno() if stream is not None else -1
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode):
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
            return lambda data: os.write(own, data)
        if stat.S_ISSOCK(mode):
            end = socket.socket(fileno=os.dup(fd))
            return lambda data: end.send(data, socket.MSG_DONTWAIT)
    except (
        OSError,
        ValueError,
        AttributeError,
    ):  # not a file of the operating system, or not on Linux
        pass
    return None
