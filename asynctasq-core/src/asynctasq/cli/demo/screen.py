"""How the demo looks: a table that changes on a terminal, one line after the other elsewhere."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import Enum

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

TITLE_WIDTH = 27
BAR_WIDTH = 24


class Mark(Enum):
    """How a scene stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


STYLES = {Mark.DONE: "bold green", Mark.FAILED: "bold red"}
SYMBOLS = {Mark.DONE: "✓", Mark.FAILED: "✗"}
ASCII_SYMBOLS = {Mark.DONE: "ok", Mark.FAILED: "!!"}


class Row:
    """One scene as the audience sees it."""

    def __init__(self, title: str, board: "Board") -> None:
        self.title = title
        self.mark = Mark.RUNNING
        self.detail = ""
        self._share: float | None = None
        self._board = board
        self._spinner = Spinner("dots", style="cyan")

    def tell(self, detail: str, share: float | None = None) -> None:
        """Say what goes on; `share` (0 to 1) draws a bar."""
        self.detail, self._share = detail, share

    def end(self, mark: Mark, detail: str) -> None:
        """Say how it ended."""
        self.mark, self.detail, self._share = mark, detail, None
        self._board.ended(self)

    def cells(self) -> tuple[RenderableType, RenderableType, RenderableType]:
        """Mark, title and detail, as they are drawn now."""
        if self.mark is Mark.RUNNING:
            drawn: RenderableType = Text(self.detail, style="dim")
            if self._share is not None:
                bar = ProgressBar(total=1.0, completed=self._share, width=BAR_WIDTH)
                line = Table.grid(padding=(0, 2))
                line.add_row(bar, drawn)
                drawn = line
            return self._spinner, Text(self.title), drawn
        return (
            Text(self._board.symbols[self.mark], style=STYLES[self.mark]),
            Text(self.title, style="bold"),
            Text(self.detail, style="" if self.mark is Mark.DONE else "red"),
        )


class Board:
    """Several scenes that play at once."""

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        self.rows = [Row(title, self) for title in titles]
        self.symbols = SYMBOLS if console.encoding.startswith("utf") else ASCII_SYMBOLS
        self._console = console
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Generator[None]:
        """Draw it, anew whenever something changes."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._drawn, console=self._console, refresh_per_second=12) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def ended(self, row: Row) -> None:
        """A scene has ended."""
        if self._live is None:
            self._console.print(_table([row]))

    def _drawn(self) -> RenderableType:
        return _table(self.rows)


class Screen:
    """What the demo prints."""

    def __init__(self, console: Console | None = None) -> None:
        """Print on a console; on the terminal if none is given."""
        self._console = console or Console(highlight=False, markup=False)
        if console is None and not self._console.is_terminal:
            self._console.width = 110

    def heading(self, text: str) -> None:
        """Begin a part."""
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Names and what they stand for."""
        table = _grid(8)
        for name, value in facts:
            table.add_row("", Text(name, style="dim"), Text(value, overflow="fold"))
        self._console.print(table)

    def line(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(Text(text, style=style))

    def board(self, titles: Sequence[str]) -> Board:
        """Scenes to be played."""
        return Board(self._console, titles)

    def panel(self, title: str, facts: Sequence[tuple[str, str]], code: Sequence[str]) -> None:
        """A box with names and values, and lines of code below them."""
        table = _grid(8)
        for name, value in facts:
            table.add_row("", Text(name, style="dim"), Text(value))
        lines = Text("\n".join(code), style="dim")
        self._console.print(
            Panel(Group(table, Text(), lines), title=title, title_align="left", border_style="red")
        )

    def summary(self, columns: Sequence[tuple[str, str]]) -> None:
        """The numbers at the end."""
        table = Table(border_style="dim")
        for name, _ in columns:
            table.add_column(name, justify="right")
        table.add_row(*(Text(value, style="bold") for _, value in columns))
        self._console.print(table)


def _table(rows: Sequence[Row]) -> Table:
    table = _grid(TITLE_WIDTH)
    for row in rows:
        table.add_row(*row.cells())
    return table


def _grid(name_width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=2, justify="right")
    table.add_column(min_width=name_width, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    return table
