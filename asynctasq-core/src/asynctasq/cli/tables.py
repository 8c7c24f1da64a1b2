"""Tables of the command line. They stay readable at any width, in pipes and without color.

Every command draws its tables here. A table is a sequence of `Column`s, each of which knows how to
read its text from an item, so a command gets another column by one more entry in its list.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import click
from rich.cells import cell_len

from asynctasq.records import record

T = TypeVar("T")

GAP = "  "
"""The space between two columns."""
BOLD = "bold"
DIM = "dim"
_ENDS_OF_PARTS = re.compile(r"[-_.:,/ ]")
# Terminals act on these characters. The text of an exception must not move the cursor.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Replacements for terminals that cannot show these characters.
_PLAIN = str.maketrans({"─": "-", "…": "~"})


@record
class Cell:
    """A text with a style: a color name, `BOLD` or `DIM`."""

    text: str
    style: str = ""


@record
class Column(Generic[T]):
    """A column of a table of items."""

    title: str
    value: Callable[[T], str | Cell]
    """Returns the text of an item in this column."""
    rank: int = 0
    """0 is always shown. Narrow tables leave out the column with the highest rank first."""
    right: bool = False
    """True to align texts on the right."""
    cut_at: int | None = None
    """The longest text shown in full on a terminal."""
    fold_at: int | None = None
    """In narrow tables, texts longer than this continue on the next line."""
    shrink_to: int | None = None
    """In narrow tables, texts longer than this are cut."""

    def narrowest(self, widest: int) -> int:
        """Return the least width of the column, given the width of its longest text."""
        least = self.fold_at or self.shrink_to or widest
        return min(widest, max(least, cell_len(self.title)))


def table_text(
    columns: Sequence[Column[T]],
    items: Sequence[T],
    *,
    width: int | None,
    colored: bool = False,
) -> str:
    """Draw a table with one row for each item.

    Args:
        columns: from left to right.
        items: from top to bottom.
        width: the most characters in a line; None for any number, in which case nothing is cut.
        colored: use the styles of the cells.

    A table with a limited width leaves out columns that have a rank but no text. If it is still too
    wide, it folds or cuts texts, and then leaves out columns by rank. If even the columns of rank 0
    are too wide together, each row becomes a block of lines.
    """
    rows = [[_cell(column.value(item), column, width) for column in columns] for item in items]
    widths = [
        max(cell_len(text) for text in (column.title, *(row[index].text for row in rows)))
        for index, column in enumerate(columns)
    ]
    filled = [
        index
        for index, column in enumerate(columns)
        if width is None or column.rank == 0 or any(row[index].text for row in rows)
    ]
    kept = filled
    if width is not None:
        fitting = _fitted(columns, widths, filled, width)
        if fitting is None:
            return _blocks(columns, rows)
        widths, kept = fitting

    def line(row: Sequence[Cell]) -> str:
        shown = (_padded(row[index], widths[index], columns[index], colored) for index in kept)
        return GAP.join(shown).rstrip()

    lines = [line([Cell(column.title, BOLD) for column in columns])]
    lines.append("─" * _total(widths[index] for index in kept))
    for row in rows:
        lines += map(line, _folded(columns, row, widths))
    left_out = [columns[index].title for index in filled if index not in kept]
    if left_out:
        lines.append(f"(no room for {', '.join(left_out)}; --wide shows all)")
    return "\n".join(lines) + "\n"


def is_narrow(*, wide: bool) -> bool:
    """Check whether tables must fit the terminal, so that IDs are shortened."""
    return sys.stdout.isatty() and not wide


def print_table(columns: Sequence[Column[T]], items: Sequence[T], *, wide: bool = False) -> None:
    """Print a table that fits the terminal; with color on a terminal unless NO_COLOR is set."""
    width = shutil.get_terminal_size().columns if is_narrow(wide=wide) else None
    colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    text = table_text(columns, items, width=width, colored=colored)
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text, nl=False)


def printable(text: str) -> str:
    """Escape the characters that a terminal would act on."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _cell(value: str | Cell, column: Column[T], width: int | None) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    text = printable(cell.text).replace("\n", " ").replace("\t", " ")
    if width is not None and column.cut_at is not None:
        text = _cut(text, column.cut_at)
    return Cell(text, cell.style)


def _fitted(
    columns: Sequence[Column[T]], widest: Sequence[int], filled: Sequence[int], width: int
) -> tuple[list[int], list[int]] | None:
    """Choose widths and the columns that fit; None if not even those of rank 0 fit."""
    kept = list(filled)
    widths = [column.narrowest(most) for column, most in zip(columns, widest, strict=True)]
    while _total(widths[index] for index in kept) > width:
        ranked = max(kept, key=lambda index: columns[index].rank)
        if columns[ranked].rank == 0:
            return None
        kept.remove(ranked)
    for _ in range(width - _total(widths[index] for index in kept)):
        growing = [index for index in kept if widths[index] < widest[index]]
        if growing:  # the narrowest first, so that long texts are cut to one length
            widths[min(growing, key=widths.__getitem__)] += 1
    return widths, kept


def _folded(
    columns: Sequence[Column[T]], row: Sequence[Cell], widths: Sequence[int]
) -> list[list[Cell]]:
    """Split a row into lines in which no cell is wider than its column."""
    parts = [
        [_cut(cell.text, most)] if column.shrink_to else list(_pieces(cell.text, most))
        for column, cell, most in zip(columns, row, widths, strict=True)
    ]
    return [
        [
            Cell(texts[index] if index < len(texts) else "", cell.style)
            for cell, texts in zip(row, parts, strict=True)
        ]
        for index in range(max(map(len, parts)))
    ]


def _cut(text: str, most: int) -> str:
    """Shorten a text to a width."""
    if cell_len(text) <= most:
        return text
    end = next(place for place in range(most, -1, -1) if cell_len(text[:place]) < most)
    return f"{text[:end].rstrip()}…"


def _pieces(text: str, most: int) -> Iterator[str]:
    """Split a text into pieces of limited width, if possible between its parts."""
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


def _padded(cell: Cell, width: int, column: Column[T], colored: bool) -> str:
    padding = " " * (width - cell_len(cell.text))
    text = cell.text
    if colored and cell.style in {BOLD, DIM}:
        text = click.style(text, **{cell.style: True})
    elif colored and cell.style:
        text = click.style(text, fg=cell.style)
    return f"{padding}{text}" if column.right else f"{text}{padding}"


def _blocks(columns: Sequence[Column[T]], rows: Sequence[Sequence[Cell]]) -> str:
    """Draw each row as lines of title and text, without empty cells."""
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
