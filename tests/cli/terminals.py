"""Commands on a terminal of a given width."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

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


def _read(terminal: int) -> bytes:
    """Read from a terminal; nothing once the last process on it has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
