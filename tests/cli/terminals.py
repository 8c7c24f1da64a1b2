"""Commands on a terminal of a given width."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from contextlib import suppress

from tests.cli.processes import COMMAND, DEADLINE_SECONDS


def on_terminal(*arguments: str, columns: int = 80, **environment: str) -> str:
    """Run a command to its end on a terminal of that width, and return what it shows."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        with subprocess.Popen(
            [*COMMAND, *arguments],
            env={**variables, "NO_COLOR": "1", "TERM": "xterm", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            theirs = -1
            shown = b"".join(iter(lambda: _read(ours), b""))
            assert process.wait(DEADLINE_SECONDS) is not None
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    return shown.decode().replace("\r\n", "\n")


def interrupted_at(question: str, *arguments: str, **environment: str) -> int:
    """Run a command on a terminal, interrupt it when it shows a text, and return its exit code."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, *arguments],
            env={**os.environ, "NO_COLOR": "1", "TERM": "xterm", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = b""
            while question.encode() not in shown and (more := _read(ours)):
                shown += more
            while True:  # Python misses a signal that comes just before it waits for an answer
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(2.0)
    finally:
        os.close(ours)


def _read(terminal: int) -> bytes:
    """Read from a terminal; nothing once the last process on it has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
