"""Tables for people, readable however narrow the terminal is. All commands draw theirs with this module.

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

GAP = "  "
"""The space between two columns."""
BOLD = "bold"
DIM = "dim"
_ENDS_OF_PARTS = re.compile(r"[-_.:,/ ]")
# Terminals act on these: what a task has raised must not move the cursor.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# For terminals that cannot show the characters of our own.
_PLAIN = str.maketrans({"─": "-", "…": "~"})


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
    shrink_to: int | None = None
    """Where it gets narrow, texts longer than this are cut."""

    def narrowest(self, widest: int) -> int:
        """Return the least width of the column, given the width of its longest text."""
        least = self.fold_at or self.shrink_to or widest
        return min(widest, max(least, cell_len(self.title)))


@record
class Cell:
    """A text, in a colour, `BOLD` or `DIM`."""

    text: str
    style: str = ""


Row = Sequence[str | Cell]


def table_text(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    width: int | None,
    coloured: bool = False,
) -> str:
    """Draw a table in at most `width` characters; None is as wide as need be, and cuts nothing.

    In that width, columns of a rank that have no text are not shown. Where the table does not fit,
    texts are folded or cut; then columns are left out by their rank. Where even those without rank
    do not fit, each row becomes a block of lines.
    """
    cells = [
        [_cell(cell, column, width) for cell, column in zip(row, columns, strict=True)]
        for row in rows
    ]
    widths = [
        max(cell_len(text) for text in (column.title, *(row[place].text for row in cells)))
        for place, column in enumerate(columns)
    ]
    filled = [
        place
        for place, column in enumerate(columns)
        if width is None or column.rank == 0 or any(row[place].text for row in cells)
    ]
    kept = filled
    if width is not None:
        fitting = _fitted(columns, widths, filled, width)
        if fitting is None:
            return _blocks(columns, cells)
        widths, kept = fitting

    def line(row: Sequence[Cell]) -> str:
        shown = (_padded(row[place], widths[place], columns[place], coloured) for place in kept)
        return GAP.join(shown).rstrip()

    lines = [line([Cell(column.title, BOLD) for column in columns])]
    lines.append("─" * _total(widths[place] for place in kept))
    for row in cells:
        lines += map(line, _folded(columns, row, widths))
    left_out = [columns[place].title for place in filled if place not in kept]
    if left_out:
        lines.append(f"(no room for {', '.join(left_out)}; --wide shows all)")
    return "\n".join(lines) + "\n"


def is_narrow(*, wide: bool) -> bool:
    """Check whether tables have to fit a terminal, so that IDs are shown short."""
    return sys.stdout.isatty() and not wide


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, wide: bool = False) -> None:
    """Print a table that fits the terminal; in colour, if it is one and NO_COLOR is not set."""
    width = shutil.get_terminal_size().columns if is_narrow(wide=wide) else None
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    text = table_text(columns, rows, width=width, coloured=coloured)
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text, nl=False)


def printable(text: str) -> str:
    """A text without what a terminal would act on."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _cell(cell: str | Cell, column: Column, width: int | None) -> Cell:
    made = cell if isinstance(cell, Cell) else Cell(cell)
    text = printable(made.text).replace("\n", " ").replace("\t", " ")
    if width is not None and column.cut_at is not None:
        text = _cut(text, column.cut_at)
    return Cell(text, made.style)


def _fitted(
    columns: Sequence[Column], widest: Sequence[int], filled: Sequence[int], width: int
) -> tuple[list[int], list[int]] | None:
    """Find the widths, and the columns that there is room for; None if not even the most needed fit."""
    kept = list(filled)
    widths = [column.narrowest(most) for column, most in zip(columns, widest, strict=True)]
    while _total(widths[place] for place in kept) > width:
        ranked = max(kept, key=lambda place: columns[place].rank)
        if columns[ranked].rank == 0:
            return None
        kept.remove(ranked)
    for _ in range(width - _total(widths[place] for place in kept)):
        growing = [place for place in kept if widths[place] < widest[place]]
        if growing:  # the room goes to the narrowest, so that long texts are cut alike
            widths[min(growing, key=widths.__getitem__)] += 1
    return widths, kept


def _folded(
    columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]
) -> list[list[Cell]]:
    """Make lines of a row in which no cell is wider than its column."""
    parts = [
        [_cut(cell.text, most)] if column.shrink_to else list(_pieces(cell.text, most))
        for column, cell, most in zip(columns, row, widths, strict=True)
    ]
    return [
        [
            Cell(texts[place] if place < len(texts) else "", cell.style)
            for cell, texts in zip(row, parts, strict=True)
        ]
        for place in range(max(map(len, parts)))
    ]


def _cut(text: str, most: int) -> str:
    """Shorten a text to that width."""
    if cell_len(text) <= most:
        return text
    end = next(place for place in range(most, -1, -1) if cell_len(text[:place]) < most)
    return f"{text[:end].rstrip()}…"


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
    if coloured and cell.style in {BOLD, DIM}:
        text = click.style(text, **{cell.style: True})
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
