"""Times in options and output of commands."""

import re
import time
from datetime import UTC, datetime

import click

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")


def last_minutes(seconds: float) -> tuple[float, float]:
    """Return the begin and the end of the last minutes: so many seconds, and up to a minute more.

    Counts are kept by the minute, so the begin is that of a minute.
    """
    until = time.time()
    return (until - seconds) // 60 * 60, until


def moment(_context: click.Context, _option: click.Parameter, given: str | None) -> float | None:
    """Parse a time into seconds since the Unix epoch.

    `90s`, `15m`, `2h`, `3d` and `1w` are times ago. A date or time such as `2026-11-20T18:30` is
    local unless it has a zone.
    """
    if given is None:
        return None
    text = given.strip()
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is not a valid time. Pass how long ago (90s, 15m, 2h, 3d, 1w), or a date or time "
            f"(2026-11-20, 2026-11-20T18:30, 2026-11-20T18:30:00Z)."
        ) from None


def duration(seconds: float) -> str:
    """Format a duration in the largest unit of which it has at least two."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def age(moment: float | None, now: float) -> str:
    """Format how long ago a moment was; empty for None."""
    return "" if moment is None else duration(now - moment)


def when(moment: float | None, now: float) -> str:
    """Format a moment in local time, with its distance from now."""
    if moment is None:
        return ""
    text = datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    far = f"in {duration(moment - now)}" if moment > now else f"{duration(now - moment)} ago"
    return f"{text} ({far})"
