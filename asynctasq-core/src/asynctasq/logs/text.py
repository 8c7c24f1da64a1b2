"""Safe text of log records: escaped and complete, without raising exceptions."""

import logging
import re
from collections.abc import Iterable
from itertools import islice
from math import isfinite
from typing import Any

from asynctasq.failures import traceback_text

MOST_CHARACTERS = 32_768
"""Length at which a text in a log line is cut."""
MOST_VALUES = 2_000
"""Number of values of one record's `extra` that JSON lines show one by one."""
DEEPEST = 12
"""Nesting of `extra` below which values become text."""
LARGEST_BITS = 1_024
"""Size above which an integer becomes text: many readers refuse longer ones."""
INDENT = "    "

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    """Escape control characters, text direction marks and lone surrogates; keep line breaks and tabs."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Escape line breaks, too."""
    return escaped(text).replace("\n", "\\n")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def shown(value: object) -> str:
    """Return the `str()` of a value, shortened; never raise an error of its class."""
    try:
        text = repr(value) if isinstance(value, bytes | bytearray) else str(value)
        return cut(str.__str__(text))
    except BaseException as error:  # noqa: BLE001  an incomplete line is better than none
        return f"<{_name_of(value)}: its str() raised {_name_of(error)}>"


def cut(text: str) -> str:
    """Shorten a long text by its middle."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}... {len(text) - 2 * half} characters left out ...{text[-half:]}"


def _name_of(value: object) -> str:
    try:
        return str(type(value).__qualname__)
    except BaseException:  # noqa: BLE001  a metaclass may do anything
        return "an object"


def message_of(record: logging.LogRecord) -> str:
    """Return the message of a record, even if its arguments do not fit its format.

    In records of asynctasq, line breaks in arguments such as task names and error messages are escaped,
    unless the format itself has several lines.
    """
    args: Any = record.args
    try:
        if args and isinstance(args, tuple) and _is_ours(record):
            return str(record.msg) % tuple(map(_flat, args))
        return cut(str.__str__(record.getMessage()))
    except BaseException:  # noqa: BLE001  an unformatted record is better than none
        return f"{shown(record.msg)} (arguments: {shown(args)})" if args else shown(record.msg)


def _is_ours(record: logging.LogRecord) -> bool:
    return (
        record.name.startswith("asynctasq")
        and isinstance(record.msg, str)
        and "\n" not in record.msg
    )


def _flat(value: object) -> object:
    if isinstance(value, BaseException):
        value = shown(value)
    return one_line(value) if isinstance(value, str) else value


def trace_of(record: logging.LogRecord) -> str:
    """Return the traceback that belongs to a record; empty if there is none.

    The sources, in order: `exc_text`, `extra={"traceback": ...}`, `exc_info`.
    """
    text = record.exc_text or vars(record).get("traceback")
    if isinstance(text, str):
        return cut(text.rstrip("\n"))
    return exception_text(record.exc_info)


def exception_text(exc_info: object) -> str:
    """Format an exception without the frames of asynctasq that lead to the application's code."""
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        exc_info = exc_info[1]
    if not isinstance(exc_info, BaseException):
        return ""
    try:
        return cut(traceback_text(exc_info, keep_lone=True).rstrip("\n"))
    except BaseException as error:  # noqa: BLE001  an exception may do anything when it is shown
        return f"<{_name_of(exc_info)}: formatting its traceback raised {_name_of(error)}>"


class Plain:
    """Converts any value into one that every JSON parser accepts."""

    def __init__(self) -> None:
        self._left = MOST_VALUES
        self._around: set[int] = set()

    def of(self, value: object) -> Any:
        """Return the value if JSON can represent it, otherwise the closest such value, or its text."""
        self._left -= 1
        try:
            if value is None or isinstance(value, bool):
                return value
            if isinstance(value, str):
                return plain_text(str.__str__(value))
            if isinstance(value, int):
                number = int.__index__(value)
                return number if number.bit_length() <= LARGEST_BITS else cut(hex(number))
            if isinstance(value, float):
                real = float.__float__(value)
                return real if isfinite(real) else str(real)
            if isinstance(value, dict | list | tuple | set | frozenset) and self._fits(value):
                return self._parts(value)
        except BaseException:  # noqa: BLE001  a class may do anything when it is looked at
            return plain_text(shown(value))
        return plain_text(shown(value))

    def _fits(self, value: object) -> bool:
        return self._left > 0 and len(self._around) < DEEPEST and id(value) not in self._around

    def _parts(self, value: Any) -> Any:
        self._around.add(id(value))
        try:
            if not isinstance(value, dict):
                return [self.of(part) for part in islice(value, self._left)]
            made: dict[str, Any] = {}
            for key, part in islice(list(dict.items(value)), self._left):
                made[unused(plain_text(shown(key)), made)] = self.of(part)
            return made
        finally:
            self._around.discard(id(value))


def plain_text(text: str) -> str:
    """Return a text that UTF-8 can encode, shortened."""
    return cut(text).encode("utf-8", "backslashreplace").decode("utf-8")


def unused(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken, with underscores appended as needed."""
    while name in taken:
        name += "_"
    return name
