"""Tables for people, readable however narrow the terminal is."""

import io
import re
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.records import record

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

# Terminals act on these: what a task has raised must not move the cursor.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@record
class Column:
    """A column of a table."""

    title: str
    rank: int = 0
    """0 is always shown; of the others, the highest are left out first where it gets narrow."""
    right: bool = False
    cut_at: int | None = None
    """The longest that a text is shown, so that one does not push all others out."""


@record
class Cell:
    """A text in a colour."""

    text: str
    style: str = ""


def table_text(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    width: int | None,
    coloured: bool = False,
) -> str:
    """A table in at most `width` characters; None is as wide as need be, and cuts nothing.

    Where it does not fit, columns are left out by their rank. Where even those without rank do not
    fit, each row becomes a block of lines.
    """
    cells = [
        [_cell(cell, column, width) for cell, column in zip(row, columns, strict=True)]
        for row in rows
    ]
    console, buffer = _console(width, coloured=coloured)
    kept = list(range(len(columns)))
    while True:
        table = _table(
            [columns[place] for place in kept], [[row[p] for p in kept] for row in cells]
        )
        if width is None or console.measure(table, options=_unbounded(console)).maximum <= width:
            console.print(table)
            break
        ranked = max(kept, key=lambda place: columns[place].rank)
        if columns[ranked].rank == 0:
            return _blocks(columns, cells)
        kept.remove(ranked)
    lines = [line.rstrip() for line in buffer.getvalue().splitlines()]
    left_out = [column.title for place, column in enumerate(columns) if place not in kept]
    if left_out:
        lines.append(f" (too narrow for: {', '.join(left_out)})")
    return "\n".join(line for line in lines if line) + "\n"


def terminal_width() -> int | None:
    """Of the terminal that shows the output; None if it goes elsewhere, where nothing may be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def printable(text: str) -> str:
    """A text without what a terminal would act on."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _cell(cell: str | Cell, column: Column, width: int | None) -> Cell:
    made = cell if isinstance(cell, Cell) else Cell(cell)
    text = printable(made.text).replace("\n", " ").replace("\t", " ")
    if width is not None and column.cut_at is not None and len(text) > column.cut_at:
        text = text[: column.cut_at - 1] + "…"
    return Cell(text, made.style)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    return table


def _blocks(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """A line for each cell that has something in it."""
    longest = max(len(column.title) for column in columns)
    blocks = (
        "\n".join(
            f"{column.title:<{longest}}  {cell.text}"
            for column, cell in zip(columns, row, strict=True)
            if cell.text
        )
        for row in rows
    )
    return "\n\n".join(blocks) + "\n"


def _console(width: int | None, *, coloured: bool) -> tuple["Console", io.StringIO]:
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width or 100_000,
        force_terminal=coloured,
        markup=False,
        highlight=False,
        emoji=False,
    )
    return console, buffer


def _unbounded(console: "Console") -> "ConsoleOptions":
    return console.options.update(width=100_000)
