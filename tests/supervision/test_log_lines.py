"""Lines of the log: each record gives one, and no text of a task looks like another."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from asynctasq.cli.application import load_application
from asynctasq.errors import ConfigurationError
from asynctasq.logs.fields import JsonFormatter, LineFormatter, TaskFields
from asynctasq.logs.text import exception_text


class Unshowable:
    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class WrongText:
    def __str__(self) -> str:
        return cast("str", 5)

    __repr__ = __str__


class UnshowableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def cycle() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(5_000):
        made = [made]
    return made


EXTRAS: dict[str, Callable[[], dict[Any, Any]]] = {
    "keys that are no text": lambda: {"counts": {(1, 2): 3, None: 4, b"x": 5, "1": 1, 1: 2}},
    "a field that is no text": lambda: {5: "five"},
    "a cycle": lambda: {"cycle": cycle()},
    "deep nesting": lambda: {"deep": deep()},
    "numbers that JSON does not have": lambda: {
        "numbers": [float("nan"), float("inf"), -float("inf"), 10**6000, 1 + 2j]
    },
    "bytes": lambda: {"body": b"\xff\x00"},
    "no text": lambda: {"odd": [Unshowable(), WrongText()], "parts": {Unshowable(): 1}},
    "a lone surrogate": lambda: {"text": "a\udc80b", "\udc80": 1},
    "line breaks of every kind": lambda: {"text": "a\nb\r\u2028\u0085\x0b\x1b[2J"},
    "many values": lambda: {"many": list(range(100_000))},
    "a long text": lambda: {"long": "x" * 10_000_000},
    "names of ours": lambda: {"time": 5, "level": "x", "logger": "y", "exception": 1, "stack": 2},
}


def record(message: object, *args: object, **fields: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "shop", "levelno": 20, "levelname": "INFO"})
    made.msg, made.args = message, args
    vars(made).update(fields)
    return made


def parsed(line: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(word)

    assert len(line.splitlines()) == 1
    assert len(line) < 1_000_000
    line.encode("utf-8")
    fields: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return fields


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_json_keeps_a_record_whatever_it_carries(extra: Callable[[], dict[Any, Any]]) -> None:
    made = record("one")
    vars(made).update(extra())
    fields = parsed(JsonFormatter().format(made))
    assert (fields["message"], fields["level"], fields["logger"]) == ("one", "info", "shop")
    assert fields["time"].startswith(("20", "19"))
    for name in extra():
        assert any(str(name).encode("utf-8", "backslashreplace").decode() in key for key in fields)


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ("%d items", ("many",)),
        ("%s and %s", ("one",)),
        ("no place", ("one",)),
        (Unshowable(), ()),
        ("%s", (Unshowable(),)),
        ("%(name)s", ({"other": 1},)),
    ],
    ids=["type", "too few", "too many", "no text", "argument without text", "no such name"],
)
def test_a_message_that_cannot_be_made_is_still_logged(message: Any, args: tuple[Any, ...]) -> None:
    made = record(message, *args)
    assert parsed(JsonFormatter().format(made))["message"]
    assert "INFO" in LineFormatter().format(made)


@pytest.mark.parametrize(
    "exc_info",
    [
        (UnshowableError, UnshowableError(), None),
        (None, None, None),
        (ExceptionGroup, ExceptionGroup("several", [UnshowableError(), ValueError("a\nb")]), None),
        True,
    ],
    ids=["no text", "none", "group", "no exception"],
)
def test_an_odd_exception_costs_no_record(exc_info: Any) -> None:
    made = record("one", exc_info=exc_info)
    assert parsed(JsonFormatter().format(made))["message"] == "one"
    assert "one" in LineFormatter().format(made)


def test_times_do_not_depend_on_the_time_zone_of_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = record("one")
    made.created = 1_790_000_000.5
    lines: list[str] = []
    for zone in ("UTC", "America/Chicago"):  # as `django.setup()` sets it
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        lines.append(LineFormatter().format(made))
    monkeypatch.undo()
    time.tzset()
    assert lines[0] == lines[1]
    assert lines[0].startswith("14:13:20Z INFO ")


def test_no_text_forges_a_line_of_the_log() -> None:
    forged = "x\n12:00:00 ERROR    forged\r\x1b[1A\u202edone"
    made = record(f"user {forged}", exc_info=(ValueError, ValueError(forged), None))
    first, *others = LineFormatter().format(made).splitlines()
    assert first.endswith("shop: user x")
    assert others
    assert all(line.startswith("    ") for line in others)
    assert "\\r\\x1b[1A\\u202edone" in others[0]


def test_line_breaks_in_names_and_errors_of_tasks_are_escaped() -> None:
    made = record("Task %s is dead: %s", "a\nb", ValueError("c\nd"), name="asynctasq")
    [line] = LineFormatter().format(made).splitlines()
    assert line.endswith("Task a\\nb is dead: c\\nd")


@pytest.mark.parametrize("shows", [True, False])
def test_tracebacks_of_failed_tasks_are_shown_by_every_formatter_or_none(shows: bool) -> None:
    fields = TaskFields(tracebacks=shows)
    for formatter in (LineFormatter(), JsonFormatter(), logging.Formatter()):
        made = record("dead", name="asynctasq", traceback="Traceback:\n  File x\nValueError: no\n")
        assert fields.filter(made)
        assert ("ValueError: no" in formatter.format(made)) is shows
        made = record("dead", name="asynctasq", exc_text="ValueError: no")
        assert fields.filter(made)
        assert ("ValueError: no" in formatter.format(made)) is shows


def test_frames_that_only_lead_to_the_application_are_left_out(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "broken_shop.py").write_text("raise ValueError('closed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError) as raised:
        load_application("broken_shop")
    cause = raised.value.__cause__
    assert cause is not None
    assert exception_text(cause).splitlines()[1].endswith('broken_shop.py", line 1, in <module>')
