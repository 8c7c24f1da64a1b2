"""Tables for people, readable however narrow the terminal is.

rich would draw them, too, but takes a millisecond for each row.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

import click
from rich.cells import cell_len

from asynctasq.records import record

GAP = "   "
"""Between two columns."""
BOLD = "bold"
_ENDS_OF_PARTS = re.compile(r"[-_.:,/ ]")
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
    fold_at: int | None = None
    """Where it gets narrow, texts longer than this go on in a further line."""


@record
class Cell:
    """A text, in a colour or `BOLD`."""

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

    In that width, columns of a rank in which nothing stands are not shown. Where it does not fit, texts are
    folded; then columns are left out by their rank. Where even those without rank do not fit, each row
    becomes a block of lines.
    """
    cells = [
        [_cell(cell, column, width) for cell, column in zip(row, columns, strict=True)]
        for row in rows
    ]
    widest = [
        max(cell_len(text) for text in (column.title, *(row[place].text for row in cells)))
        for place, column in enumerate(columns)
    ]
    filled = [
        place
        for place, column in enumerate(columns)
        if width is None or column.rank == 0 or any(row[place].text for row in cells)
    ]
    kept = list(filled)
    widths = widest
    if width is not None:
        widths = [
            min(most, max(column.fold_at or most, cell_len(column.title)))
            for most, column in zip(widest, columns, strict=True)
        ]
        while _total(widths[place] for place in kept) > width:
            ranked = max(kept, key=lambda place: columns[place].rank)
            if columns[ranked].rank == 0:
                return _blocks(columns, cells)
            kept.remove(ranked)
        room = width - _total(widths[place] for place in kept)
        for place in kept:
            more = min(room, widest[place] - widths[place])
            widths[place] += more
            room -= more

    def line(row: Sequence[Cell]) -> str:
        shown = (_padded(row[place], widths[place], columns[place], coloured) for place in kept)
        return GAP.join(shown).rstrip()

    lines = [line([Cell(column.title, BOLD) for column in columns])]
    lines.append("─" * _total(widths[place] for place in kept))
    for row in cells:
        lines += map(line, _folded(row, widths))
    left_out = [columns[place].title for place in filled if place not in kept]
    if left_out:
        lines.append(f" (too narrow for: {', '.join(left_out)})")
    return "\n".join(lines) + "\n"


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]]) -> None:
    """Print a table that fits the terminal; in colour, if it is one and NO_COLOR is not set."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    coloured = terminal and not os.environ.get("NO_COLOR")
    click.echo(table_text(columns, rows, width=width, coloured=coloured), nl=False)


def printable(text: str) -> str:
    """A text without what a terminal would act on."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _cell(cell: str | Cell, column: Column, width: int | None) -> Cell:
    made = cell if isinstance(cell, Cell) else Cell(cell)
    text = printable(made.text).replace("\n", " ").replace("\t", " ")
    if width is not None and column.cut_at is not None and len(text) > column.cut_at:
        text = text[: column.cut_at - 1] + "…"
    return Cell(text, made.style)


def _folded(row: Sequence[Cell], widths: Sequence[int]) -> list[list[Cell]]:
    """A row as lines in which no cell is wider than its column."""
    parts = [list(_pieces(cell.text, most)) for cell, most in zip(row, widths, strict=True)]
    return [
        [
            Cell(texts[place] if place < len(texts) else "", cell.style)
            for cell, texts in zip(row, parts, strict=True)
        ]
        for place in range(max(map(len, parts)))
    ]


def _pieces(text: str, most: int) -> Iterator[str]:
    """A text in pieces of at most that width, cut where its parts end, if there is such a place."""
    while cell_len(text) > most:
        end = next(place for place in range(len(text), 0, -1) if cell_len(text[:place]) <= most)
        ends = [found.end() for found in _ENDS_OF_PARTS.finditer(text, 0, end)]
        if ends and ends[-1] >= end / 2:
            end = ends[-1]
        yield text[:end].rstrip()
        text = text[end:].lstrip()
    yield text


def _total(widths: Iterable[int]) -> int:
    listed = list(widths)
    return sum(listed) + len(GAP) * (len(listed) - 1)


def _padded(cell: Cell, width: int, column: Column, coloured: bool) -> str:
    padding = " " * (width - cell_len(cell.text))
    text = cell.text
    if coloured and cell.style == BOLD:
        text = click.style(text, bold=True)
    elif coloured and cell.style:
        text = click.style(text, fg=cell.style)
    return f"{padding}{text}" if column.right else f"{text}{padding}"


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
