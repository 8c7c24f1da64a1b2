"""Programs with a full screen on a pseudo-terminal, whose screen a test can read."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pyte

from tests.cli.processes import COMMAND, DEADLINE_SECONDS

SHOWS_SCREEN = b"\x1b[?1049h"
LEAVES_SCREEN = b"\x1b[?1049l"
SHOWS_CURSOR = b"\x1b[?25h"


class FullScreen:
    """A command on its own terminal."""

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 24, **environment: str
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        self._ours, self._theirs = pty.openpty()
        self._set_size(columns, lines)
        self._before = termios.tcgetattr(self._theirs)
        unset = {"COLUMNS", "LINES", "NO_COLOR"}
        variables = {name: value for name, value in os.environ.items() if name not in unset}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env={**variables, "TERM": "xterm-256color", **environment},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen as a text."""
        return "\n".join(self.lines)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Read what the program draws until a condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}\n{self.text}"
            self._read(0.1)

    def shows(self, text: str) -> None:
        """Wait until the screen shows a text."""
        self.until(lambda: text in self.text, text)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal."""
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def row(self, start: str) -> list[str]:
        """Return the words of the line that begins so."""
        return next((line.split() for line in self.lines if line.startswith(start)), [])

    def selected(self) -> str:
        """Return the first word of the selected line, which is drawn in reverse."""
        for number in range(self._screen.lines - 1):
            if self._screen.buffer[number][0].reverse:
                return self._screen.display[number].split()[0]
        return ""

    def ended(self) -> int:
        """Wait for the end of the program; return its exit code. The terminal must be as it was before."""
        self.until(lambda: self.process.poll() is not None, "the end")
        while self._read(0.0):
            pass
        assert self.output.rfind(LEAVES_SCREEN) > self.output.rfind(SHOWS_SCREEN) > -1
        assert SHOWS_CURSOR in self.output
        assert _flags(termios.tcgetattr(self._theirs)) == _flags(self._before)
        return self.process.returncode

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], timeout)
        if ready:
            data = os.read(self._ours, 65536)
            self.output += data
            self._stream.feed(data)
        return bool(ready)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def _flags(attributes: list[Any]) -> list[Any]:
    return attributes[:4]
