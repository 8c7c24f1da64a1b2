"""The terminal of the live view: full screen, single keys, and everything restored at the end."""

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console, ConsoleDimensions, Group

if TYPE_CHECKING:
    from rich.text import Text


class Screen:
    """The terminal of stdin and stdout.

    Raises:
        click.UsageError: the terminal cannot be used so.
    """

    def __init__(self) -> None:
        try:
            import termios
            import tty
        except ImportError:
            raise click.UsageError("This command needs a terminal of a Unix system.") from None
        self._termios, self._tty = termios, tty
        self._console = Console(highlight=False)
        if self._console.is_dumb_terminal:
            raise click.UsageError(
                "This command needs a terminal that can move its cursor. Set TERM, to xterm for example."
            )
        self.input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self.input)

    @property
    def size(self) -> tuple[int, int]:
        """The columns and lines of the terminal."""
        found = os.get_terminal_size(sys.stdout.fileno())
        return found.columns or 80, found.lines or 24

    def __enter__(self) -> Self:
        self.show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()

    def show(self) -> None:
        """Switch to the full screen, and to input without echo and line buffer."""
        self._tty.setcbreak(self.input)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def restore(self) -> None:
        """Return to the state before `show`. Idempotent."""
        try:
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
        finally:
            self._termios.tcsetattr(self.input, self._termios.TCSADRAIN, self._before)

    def draw(self, lines: "Sequence[Text]") -> None:
        """Draw all lines of the screen."""
        width, height = self.size
        self._console.size = ConsoleDimensions(width, height)
        self._console.update_screen(Group(*lines))

    def read(self) -> bytes:
        """Return the bytes that were typed. Empty at the end of the input."""
        return os.read(self.input, 1024)
