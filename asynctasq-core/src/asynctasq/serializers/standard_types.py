"""Conversion of values of the standard library to text, and back."""

import re
from datetime import UTC, datetime, time, timedelta, timezone
from fractions import Fraction
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.serializers.unserializable import Unserializable, brief, one_of

LONGEST_FRACTION = 65_536
"""Longest text of a fraction, in characters: Python needs minutes to reduce longer ones."""
LONGEST_PATTERN = 65_536
"""Longest regular expression, in characters or bytes, because a worker has to compile it."""

# Datetimes keep their wall clock, their offset from UTC and `fold`; the name of the zone is lost, so
# that no worker's zone tables can move a moment in time.

_FOLD = "~"
_OFFSET = "@"
"""Marks an offset in microseconds: Python 3.11 reads offsets of less than a second as UTC."""

M = TypeVar("M", datetime, time)


def moment_text(value: datetime | time) -> str:
    """Return the text of a datetime or time."""
    text = value.isoformat()
    if value.tzinfo is not None:
        offset = value.utcoffset()
        if offset is None:
            raise Unserializable(
                f"is a {type(value).__name__} whose time zone ({type(value.tzinfo).__name__}) gives "
                "it no offset from UTC. Pass it without a zone, or a datetime."
            )
        if offset.microseconds:
            naive = value.replace(tzinfo=None).isoformat()
            text = f"{naive}{_OFFSET}{offset // timedelta.resolution}"
    return text + _FOLD if value.fold else text


def _with_offset(moment: M, offset: str, fold: bool) -> M:
    if offset:
        moment = moment.replace(tzinfo=timezone(timedelta(microseconds=int(offset))))
    return moment.replace(fold=1) if fold else moment


def _split_moment(text: str) -> tuple[str, str, bool]:
    fold = text.endswith(_FOLD)
    text, _, offset = text.removesuffix(_FOLD).partition(_OFFSET)
    return text, offset, fold


def read_datetime(text: str) -> datetime:
    """Return the datetime of that text."""
    text, offset, fold = _split_moment(text)
    return _with_offset(datetime.fromisoformat(text), offset, fold)


def read_time(text: str) -> time:
    """Return the time of that text."""
    text, offset, fold = _split_moment(text)
    return _with_offset(time.fromisoformat(text), offset, fold)


def timedelta_text(value: timedelta) -> str:
    """Return the text of a timedelta."""
    return f"{value.days},{value.seconds},{value.microseconds}"


def read_timedelta(text: str) -> timedelta:
    """Return the timedelta of that text."""
    days, seconds, microseconds = text.split(",")
    return timedelta(int(days), int(seconds), int(microseconds))


def read_integer(text: str) -> int:
    """Return the integer of that text."""
    # Hexadecimal: decimal text of long integers takes quadratic time, and Python limits it.
    return int(text, 16)


def fraction_text(value: Fraction) -> str:
    """Return the text of a fraction."""
    text = f"{value.numerator:x}/{value.denominator:x}"
    if len(text) > LONGEST_FRACTION:
        raise Unserializable(
            "is a Fraction of too many digits. Pass its numerator and denominator."
        )
    return text


def read_fraction(text: str) -> Fraction:
    """Return the fraction of that text."""
    if len(text) > LONGEST_FRACTION:
        raise BodyCorrupt("A fraction has too many digits.")
    numerator, _, denominator = text.partition("/")
    return Fraction(int(numerator, 16), int(denominator, 16))


def timezone_text(value: timezone) -> str:
    """Return the text of a time zone of fixed offset: microseconds, and its name if it has one."""
    offset = value.utcoffset(None)
    name = value.tzname(None)
    micros = str(offset // timedelta.resolution)
    return micros if name == timezone(offset).tzname(None) else f"{micros},{name}"


def read_timezone(text: str) -> timezone:
    """Return the time zone of that text."""
    micros, comma, name = text.partition(",")
    offset = timedelta(microseconds=int(micros))
    return timezone(offset, name) if comma else timezone(offset) if offset else UTC


def zone_key(value: ZoneInfo) -> str:
    """Return the key of a zone of the IANA database."""
    if value.key is None:
        raise Unserializable(
            "is a ZoneInfo without a key, made from a file. Pass the name of a zone."
        )
    return value.key


def read_zone(key: str) -> ZoneInfo:
    """Return the zone of that key.

    Raises:
        ArgumentsMismatch: this machine has no such zone.
    """
    try:
        return ZoneInfo(key)
    except Exception as error:
        raise ArgumentsMismatch(
            f"The arguments contain the time zone {key[:100]!r}, which this machine does not have "
            f"({brief(error)}). Install the package tzdata."
        ) from error


def pattern_parts(value: "re.Pattern[Any]") -> list[Any]:
    """Return the source and the flags of a regular expression."""
    if len(value.pattern) > LONGEST_PATTERN:
        raise Unserializable(f"is {one_of(type(value))} that is too long. Pass its source.")
    return [value.pattern, int(value.flags)]


def build_pattern(parts: list[Any]) -> "re.Pattern[Any]":
    """Compile a regular expression."""
    source, flags = parts
    if (
        not isinstance(source, str | bytes)
        or type(flags) is not int
        or len(source) > LONGEST_PATTERN
    ):
        raise BodyCorrupt("A regular expression has no source.")
    if flags & re.DEBUG:  # prints
        raise BodyCorrupt("A regular expression has flags that are not allowed.")
    return re.compile(source, flags)


def build_range(parts: list[Any]) -> range:
    """Return the range of these bounds and step."""
    start, stop, step = parts
    return range(start, stop, step)
