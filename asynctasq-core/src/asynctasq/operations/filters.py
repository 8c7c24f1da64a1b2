"""Filters of listings: patterns and times."""

import re
from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Protocol, TypedDict

from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.message import Message
from asynctasq.settlement import ErrorInfo, Reason

_WILDCARD = re.compile(r"[*?\[]")


class TaskFilter(TypedDict, total=False):
    """Conditions of a listing; a task must meet all that are given."""

    queue: str | None
    task: str | None
    """A name, or a pattern such as `shop:*`."""
    since: datetime | float | None
    """Time of the enqueue, or before it: an aware datetime, or seconds since the Unix epoch."""
    until: datetime | float | None
    """Time after the enqueue."""


class DeadLetterFilter(TypedDict, total=False):
    """Conditions of a listing; a task must meet all that are given."""

    queue: str | None
    task: str | None
    """A name, or a pattern such as `shop:*`."""
    reason: Reason | None
    error: str | None
    """The type of the error: a name with or without its module, or a pattern such as `*Timeout`."""
    since: datetime | float | None
    """Time of the death, or before it: an aware datetime, or seconds since the Unix epoch."""
    until: datetime | float | None
    """Time after the death."""


def seconds(moment: datetime | float | None) -> float | None:
    """Return a moment in seconds since the Unix epoch, as stores count time."""
    return moment.timestamp() if isinstance(moment, datetime) else moment


class _HasMessage(Protocol):
    @property
    def message(self) -> Message: ...


def driver_pattern(pattern: str | None) -> str | None:
    """Return the name or `prefix*` that a driver filters by, so that it finds every match of a pattern.

    None if the pattern begins with a wildcard: then the driver cannot filter.
    """
    if pattern is None:
        return None
    prefix = _WILDCARD.split(pattern, maxsplit=1)[0]
    if prefix == pattern:
        return pattern
    return f"{prefix}*" if prefix else None


def task_check(pattern: str | None) -> Callable[[_HasMessage], bool] | None:
    """Return a check of the task's name; None if a driver filters by the whole pattern."""
    if pattern is None or not pattern.strip("*") or pattern == driver_pattern(pattern):
        return None
    return lambda item: fnmatchcase(item.message.task, pattern)


def driver_error(pattern: str | None) -> str | None:
    """Return the type of error that a driver filters by; None for a pattern with wildcards."""
    return None if pattern is None or _WILDCARD.search(pattern) else pattern


def dead_letter_check(wanted: DeadLetterFilter) -> Callable[[DeadLetter], bool] | None:
    """Return a check of the conditions that drivers do not filter by; None if there are none.

    It does not check `since`: a listing ends there.
    """
    checks: list[Callable[[DeadLetter], bool]] = []
    named = task_check(wanted.get("task"))
    if named is not None:
        checks.append(named)
    error = wanted.get("error")
    if error is not None and driver_error(error) is None:
        checks.append(lambda letter: _is_error(letter.error, error))
    until = seconds(wanted.get("until"))
    if until is not None:
        checks.append(lambda letter: letter.died_at < until)
    return (lambda letter: all(check(letter) for check in checks)) if checks else None


def _is_error(error: ErrorInfo | None, pattern: str) -> bool:
    if error is None:
        return False
    return fnmatchcase(error.type, pattern) or fnmatchcase(error.type.rpartition(".")[2], pattern)
