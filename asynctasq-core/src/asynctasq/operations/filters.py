"""Which tasks are meant: patterns and times."""

from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Protocol, TypedDict

from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.message import Message
from asynctasq.settlement import ErrorInfo, Reason


class TaskFilter(TypedDict, total=False):
    """All of what is given must hold."""

    queue: str | None
    task: str | None
    """A name, or a pattern such as `shop:*`."""
    since: datetime | float | None
    """Enqueued then or later; a time with zone, or seconds since the Unix epoch."""
    until: datetime | float | None
    """Enqueued before."""


class DeadLetterFilter(TypedDict, total=False):
    """All of what is given must hold."""

    queue: str | None
    task: str | None
    """A name, or a pattern such as `shop:*`."""
    reason: Reason | None
    error: str | None
    """The type of the error: a name with or without its module, or a pattern such as `*Timeout`."""
    since: datetime | float | None
    """Died then or later; a time with zone, or seconds since the Unix epoch."""
    until: datetime | float | None
    """Died before."""


def seconds(moment: datetime | float | None) -> float | None:
    """As stores count time."""
    return moment.timestamp() if isinstance(moment, datetime) else moment


class _HasMessage(Protocol):
    @property
    def message(self) -> Message: ...


def task_check(pattern: str | None) -> Callable[[_HasMessage], bool] | None:
    """A check of the task's name; None if every name will do."""
    if pattern is None or not pattern.strip("*"):
        return None
    return lambda item: fnmatchcase(item.message.task, pattern)


def dead_letter_check(wanted: DeadLetterFilter) -> Callable[[DeadLetter], bool] | None:
    """A check of all but the queue, which drivers know, and `since`, where listings end."""
    checks: list[Callable[[DeadLetter], bool]] = []
    named = task_check(wanted.get("task"))
    if named is not None:
        checks.append(named)
    reason, error = wanted.get("reason"), wanted.get("error")
    if reason is not None:
        checks.append(lambda letter: letter.reason is reason)
    if error is not None:
        checks.append(lambda letter: _is_error(letter.error, error))
    until = seconds(wanted.get("until"))
    if until is not None:
        checks.append(lambda letter: letter.died_at < until)
    return (lambda letter: all(check(letter) for check in checks)) if checks else None


def _is_error(error: ErrorInfo | None, pattern: str) -> bool:
    if error is None:
        return False
    return fnmatchcase(error.type, pattern) or fnmatchcase(error.type.rpartition(".")[2], pattern)
