"""Checks of option values. Each returns the value as the rest of the code uses it.

The text of an error continues a sentence that begins with the name of the option: "must be an integer".
After a full stop it may say what to do.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, TypeVar, cast

from asynctasq.message import (
    PRIORITY_HIGHEST,
    PRIORITY_LOWEST,
    QUEUE_NAME,
    OnConflict,
    Unique,
    UniqueUntil,
    id_from_text,
)
from asynctasq.retry import SECONDS_LIMIT, OnMissing, RetryStrategy

INTEGER_LIMIT = 2**31 - 1
NAME_LIMIT = 500
"""Longest name of a task, in characters."""
UNIQUE_KEY_LIMIT = 4096
"""Longest unique key, in bytes (UTF-8)."""
_QUEUE_RULE = "must be 1 to 80 characters out of letters, digits, '_', '.' and '-'"
RELATION_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

E = TypeVar("E", bound=StrEnum)

Duration: TypeAlias = float | timedelta
"""Seconds, or a `timedelta`."""
ValueCheck: TypeAlias = Callable[[object], object]
"""Returns the value of the option; raises TypeError or ValueError if the option cannot have it."""


def check_queue_name(name: object) -> str:
    """Return the name if it is valid for a queue.

    Raises:
        ValueError: it is not 1 to 80 characters of `A-Z a-z 0-9 _ . -`.
    """
    if isinstance(name, str) and QUEUE_NAME.fullmatch(name):
        return name
    shown = repr(name[:100] if isinstance(name, str) else name)
    raise ValueError(f"The name of a queue {_QUEUE_RULE}, got {shown}.")


def _check_queue(value: object) -> object:
    if isinstance(value, str) and QUEUE_NAME.fullmatch(value):
        return value
    raise ValueError(_QUEUE_RULE)


def check_task_name(name: object, *, where: str) -> None:
    """Make sure that a name is valid for a task.

    Raises:
        TypeError: it is not a string, or empty.
        ValueError: it is too long, or contains a NUL character or lone surrogates.
    """
    if not (isinstance(name, str) and name):
        raise TypeError(f"{where}: name must be a non-empty string, got {name!r}.")
    if len(name) > NAME_LIMIT or "\0" in name or not is_unicode(name):
        raise ValueError(
            f"{where}: name must be Unicode text of at most {NAME_LIMIT} characters without NUL, "
            f"got {name[:60]!r}."
        )


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: it contains no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def seconds_of(value: object) -> object:
    """Return a `timedelta` as seconds, and any other value as it is."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def seconds(low: float, *, above: bool = False, optional: bool = False) -> ValueCheck:
    """Make the check of a duration. It returns seconds, or None if that is allowed."""

    def check(value: object) -> object:
        if value is None and optional:
            return None
        number = seconds_of(value)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(
                "must be a number of seconds or a timedelta" + (", or None" if optional else "")
            )
        return _in_range(number, low, above=above)

    return check


def number(low: float) -> ValueCheck:
    """Make the check of a number that is not a duration."""

    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError("must be a number")
        return _in_range(value, low)

    return check


def _in_range(value: float, low: float, *, above: bool = False) -> float:
    # NaN compares as False to everything.
    if not (value > low if above else value >= low) or not value <= SECONDS_LIMIT:
        raise ValueError(
            f"must be {'greater than' if above else 'at least'} {low:g} and at most {SECONDS_LIMIT:,.0f}"
        )
    return int(value) if isinstance(value, int) else float(value)


def _integer(low: int, high: int = INTEGER_LIMIT) -> ValueCheck:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("must be an integer")
        if not low <= value <= high:
            raise ValueError(f"must be {low} to {high:,}")
        return int(value)

    return check


def _check_id(value: object) -> object:
    if not isinstance(value, str):
        raise TypeError("must be a string")
    _check_uuid(value)
    return value


def _check_uuid(value: str) -> None:
    try:
        id_from_text(value)
    except ValueError:
        raise ValueError("must be the ID of a task (a UUID)") from None


def _choice(choices: type[StrEnum]) -> ValueCheck:
    def check(value: object) -> object:
        names = [choice.value for choice in choices]
        if value not in names:
            raise ValueError(f"must be {' or '.join(map(repr, names))}")
        return value

    return check


def _check_eta(value: object) -> object:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("must be a datetime with a time zone")
        try:
            moment = value.timestamp()
        except (OverflowError, ValueError, OSError):
            moment = -1.0
        if not 0.0 <= moment <= SECONDS_LIMIT:
            raise ValueError("must be between the years 1970 and 2286")
        return moment
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("must be an aware datetime or seconds since the Unix epoch")
    return float(_in_range(value, 0.0))


def _check_share(value: object) -> object:
    share = cast("float", number(0.0)(value))
    if share > 1.0:
        raise ValueError("must be 0 to 1")
    return share


def _check_unique(value: object) -> object:
    if not isinstance(value, Unique | str):
        raise TypeError("must be a Unique or a string")
    unique = value if isinstance(value, Unique) else Unique(value)
    key: object = unique.key
    if not isinstance(key, str):
        raise TypeError("must have a string as its key")
    if not key:
        raise ValueError("must have a key that is not empty")
    if not is_unicode(key):
        raise ValueError("must have a key of Unicode text without lone surrogates")
    if len(key.encode()) > UNIQUE_KEY_LIMIT:
        raise ValueError(
            f"must have a key of at most {UNIQUE_KEY_LIMIT:,} bytes (it has {len(key.encode()):,}). "
            f"Use a hash of it"
        )
    until = _member(UniqueUntil, unique.until, "until")
    on_conflict = _member(OnConflict, unique.on_conflict, "on_conflict")
    if (until is UniqueUntil.PERIOD) != (unique.period is not None):
        raise ValueError(
            "must have a period (in seconds) if `until` is UniqueUntil.PERIOD, and only then"
        )
    if unique.period is None:
        period = None
    else:
        try:
            period = float(cast("float", _PERIOD(unique.period)))
        except (TypeError, ValueError) as error:
            raise type(error)(f"must have a valid period; it {error}") from None
    return replace(unique, until=until, on_conflict=on_conflict, period=period)


def _member(choices: type[E], value: object, name: str) -> E:
    try:
        return choices(cast("str", value))
    except ValueError:
        names = " or ".join(repr(choice.value) for choice in choices)
        raise ValueError(f"must have {names} as `{name}` (it has {value!r})") from None


def _check_after(value: object) -> object:
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError("must be a list of ids or handles")
    for each in value:
        try:
            id_from_text(each)
        except ValueError:
            raise ValueError(
                f"must be a list of IDs of tasks (UUIDs); {each!r} is not a valid one"
            ) from None
    return value


def _check_headers(value: object) -> object:
    problem = "must be a mapping of strings to strings"
    if not isinstance(value, Mapping):
        raise TypeError(problem)
    headers = dict(cast("Mapping[object, object]", value))
    if (wrong := wrong_header(headers)) is not None:
        raise wrong
    return headers


def wrong_header(headers: Mapping[object, object]) -> TypeError | ValueError | None:
    """Return the error for headers that are not strings, or not Unicode; None if they are valid."""
    for key, text in headers.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            return TypeError("must be a mapping of strings to strings")
        if not (is_unicode(key) and is_unicode(text)):
            return ValueError(f"must be Unicode text; the header {key[:60]!r} has lone surrogates")
    return None


def _check_relations(value: object) -> object:
    named = value.values() if isinstance(value, Mapping) else (value,)
    for paths in cast("Collection[object]", named):
        if isinstance(paths, str) or not isinstance(paths, Sequence):
            raise TypeError("must be a list of relations, or a mapping of parameters to such lists")
        if not all(isinstance(path, str) and RELATION_PATH.fullmatch(path) for path in paths):
            raise ValueError("must contain names, or names joined by dots")
    return value


_PERIOD = seconds(0.0, above=True)

CHECKS: Mapping[str, ValueCheck] = {
    "queue": _check_queue,
    "max_attempts": _integer(0),
    "retry_delay": seconds(0.0),
    "retry_strategy": _choice(RetryStrategy),
    "retry_factor": number(1.0),
    "retry_cap": seconds(0.0),
    "retry_jitter": _check_share,
    "timeout": seconds(0.0, above=True, optional=True),
    "priority": _integer(PRIORITY_LOWEST, PRIORITY_HIGHEST),
    "expires": seconds(0.0, above=True, optional=True),
    "result_ttl": seconds(0.0),
    "max_lost": _integer(0),
    "on_missing": _choice(OnMissing),
    "relations": _check_relations,
    "delay": seconds(0.0),
    "eta": _check_eta,
    "unique": _check_unique,
    "id": _check_id,
    "after": _check_after,
    "headers": _check_headers,
}
"""The check of each option, by its name."""
