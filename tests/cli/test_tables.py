"""Tables are readable however narrow the terminal is."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import pytest

from asynctasq.cli.tables import Cell, Column, printable, table_text
from asynctasq.cli.times import age, duration, when

Row: TypeAlias = Sequence[str | Cell]


def column(index: int, title: str, **options: Any) -> Column[Row]:
    return Column(title, itemgetter(index), **options)


COLUMNS = [
    column(0, "Id"),
    column(1, "Task", cut_at=12),
    column(2, "Queue", rank=1),
    column(3, "Failed", rank=2, right=True),
]
ROWS: list[Row] = [
    ["01a1fbfb", "shop:pay", "default", "1 of 3"],
    ["01a1fbfc", "shop:a_long_name", "mail", Cell("", "red")],
]


def lines(width: int | None) -> list[str]:
    return table_text(COLUMNS, ROWS, width=width).splitlines()


def test_pipes_get_full_texts() -> None:
    titles, _, first, second = lines(None)
    assert titles.split() == ["Id", "Task", "Queue", "Failed"]
    assert first.split() == ["01a1fbfb", "shop:pay", "default", "1", "of", "3"]
    assert second.split() == ["01a1fbfc", "shop:a_long_name", "mail"]


def test_long_texts_are_cut_on_a_terminal() -> None:
    assert "shop:a_long…" in lines(200)[3]


def test_narrow_tables_leave_out_columns() -> None:
    assert lines(36)[0].split() == ["Id", "Task", "Queue"]
    assert lines(36)[-1] == "(no room for Failed; --wide shows all)"
    assert lines(30)[0].split() == ["Id", "Task"]
    assert lines(30)[-1] == "(no room for Queue, Failed; --wide shows all)"
    assert all(len(line) <= 36 for line in lines(36)[:-1])


def test_very_narrow_tables_show_rows_as_blocks() -> None:
    assert lines(16)[:5] == [
        "Id      01a1fbfb",
        "Task    shop:pay",
        "Queue   default",
        "Failed  1 of 3",
        "",
    ]


def test_long_names_are_folded_before_columns_are_left_out() -> None:
    columns = [
        column(0, "Queue", fold_at=10),
        column(1, "Ready", right=True),
        column(2, "Dead", rank=1, right=True),
    ]
    rows: list[Row] = [["reports.nightly", "1,200", "3"], ["mail", "0", "0"], ["x" * 25, "1", "0"]]
    assert table_text(columns, rows, width=23).splitlines() == [
        "Queue       Ready  Dead",
        "─" * 23,
        "reports.    1,200     3",
        "nightly",
        "mail            0     0",
        "xxxxxxxxxx      1     0",
        "xxxxxxxxxx",
        "xxxxx",
    ]
    assert table_text(columns, rows[:2], width=80).splitlines()[2].startswith("reports.nightly ")
    assert table_text(columns, rows, width=20).splitlines()[-1].startswith("(no room for Dead")
    assert table_text(columns, rows, width=12).startswith("Queue  reports.nightly\n")


def test_long_texts_are_cut_before_columns_are_left_out() -> None:
    columns = [
        column(0, "Task", fold_at=6),
        column(1, "Died", rank=1),
        column(2, "Error", shrink_to=8),
    ]
    rows: list[Row] = [["shop:charge", "4 s", "Refused: no money"], ["shop:pay", "59 min", "bad"]]
    assert table_text(columns, rows, width=28).splitlines() == [
        "Task       Died    Error",
        "─" * 28,
        "shop:      4 s     Refused:…",
        "charge",
        "shop:pay   59 min  bad",
    ]
    assert "Refused: no money" in table_text(columns, rows, width=None)


def test_cut_columns_share_the_width_evenly() -> None:
    columns = [
        column(0, "A", shrink_to=3),
        column(1, "B", shrink_to=3),
        column(2, "C", shrink_to=3),
    ]
    rows: list[Row] = [["a" * 4, "b" * 50, "c" * 50]]
    cut = table_text(columns, rows, width=30).splitlines()[2]
    assert cut == "aaaa  bbbbbbbbbb…  cccccccccc…"


def test_wide_characters_take_two_places() -> None:
    rows: list[Row] = [["注文", "支払い"], ["ab", "c"]]
    columns = [column(0, "Id"), column(1, "Task", right=True)]
    assert table_text(columns, rows, width=80).splitlines() == [
        "Id      Task",
        "─" * 12,
        "注文  支払い",
        "ab         c",
    ]


def test_each_value_is_read_once() -> None:
    read: list[object] = []

    def value(row: Row) -> str | Cell:
        read.append(row)
        return row[0]

    rows: list[Row] = [[f"shop:{number}", "x"] for number in range(50)]
    columns = [Column("Task", value, fold_at=4), column(1, "State")]
    assert len(table_text(columns, rows, width=80).splitlines()) == 52
    assert len(read) == 50


def test_terminals_do_not_show_empty_columns() -> None:
    columns = [column(0, "Id"), column(1, "Worker", rank=1), column(2, "State")]
    rows: list[Row] = [["1", "", ""]]
    assert table_text(columns, rows, width=80).splitlines()[0].split() == ["Id", "State"]
    assert "no room" not in table_text(columns, rows, width=80)
    assert table_text(columns, rows, width=None).splitlines()[0].split() == [
        "Id",
        "Worker",
        "State",
    ]


def test_colors_are_for_terminals() -> None:
    rows: list[Row] = [[Cell("a", "red")]]
    assert "\x1b[31m" in table_text([column(0, "A")], rows, width=80, colored=True)
    assert "\x1b" not in table_text([column(0, "A")], rows, width=80)


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "a\rb", "\u202eabc", "\udcff", "\x9b2J"])
def test_control_characters_are_escaped(text: str) -> None:
    assert printable(text) == text.encode("unicode_escape").decode()


@pytest.mark.parametrize(
    "seconds, text", [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (1e6, "12 d")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_moments_show_their_distance() -> None:
    assert age(None, 100.0) == when(None, 100.0) == ""
    assert when(40.0, 100.0).endswith(" (60 s ago)")
    assert when(160.0, 100.0).endswith(" (in 60 s)")
