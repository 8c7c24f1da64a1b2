"""Cron expressions: their fields, their time zones, and the times at which they fire.

The rules are those of Vixie cron, as cronsim implements them. A fixed time (`30 2 * * *`) that is skipped when clocks
are set ahead fires right after the change. It fires once when clocks are set back. An expression that repeats
(`*/30 * * * *`) follows the clock on the wall.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (5, 6)
_OVERLAP = timedelta(hours=4)
"""Longer than any time zone has set its clocks back at once."""


def parse_cron(expression: str) -> str:
    """Return a cron expression in its plain form, with macros replaced.

    Args:
        expression: five fields (minute, hour, day of the month, month, day of the week), six with seconds in
            front, or a macro such as `@daily`.

    Raises:
        ValueError: the expression is not valid, or never fires.
    """
    text = " ".join(expression.split())
    if text.startswith("@"):
        return _macro(text)
    if len(text.split()) not in _FIELDS:
        raise ValueError(
            f"cron must have five fields, or six with seconds in front, got {expression!r}. For example, "
            f"'0 7 * * MON-FRI' is seven o'clock on weekdays."
        )
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(
            f"cron must be a valid cron expression, got {expression!r} ({error}). A range must not wrap "
            f"around: write '22-23,0-2' instead of '22-2'."
        ) from None
    except StopIteration:
        raise ValueError(
            f"cron must fire at some time, got {expression!r}, which never does."
        ) from None
    return text.upper()


def _macro(text: str) -> str:
    name = text.lower()
    if name == "@reboot":
        raise ValueError(
            "cron must name times, got '@reboot'. Dispatch the task where your application starts."
        )
    if name.startswith("@every"):
        raise ValueError(f"cron must name times, got {text!r}. Use `every=` with seconds.")
    if name not in MACROS:
        raise ValueError(f"cron must be one of {', '.join(MACROS)}, or fields, got {text!r}.")
    return MACROS[name]


def check_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: there is no such zone on this machine.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"zone must be a time zone such as 'Europe/Berlin', got {name!r}. If the name is right, install "
            f"tzdata."
        ) from None
    return name


@lru_cache(maxsize=4096)
def next_after(expression: str, zone: str, after: int) -> float:
    """Return the first time after a whole second.

    Cached, because many schedules share an expression: thousands that fire together cost one computation.

    Args:
        expression: as `parse_cron` returned it.
        zone: name of a time zone.
        after: seconds since the Unix epoch.
    """
    start = datetime.fromtimestamp(after, UTC)
    for found in _times(expression, zone, start):
        if found > start:
            return found.timestamp()
    raise ValueError(f"{expression!r} never fires again after {start}.")


@lru_cache(maxsize=4096)
def latest_until(expression: str, zone: str, until: int) -> float | None:
    """Return the last time that is not after a whole second; None if there was none in the last decades."""
    end = datetime.fromtimestamp(until, UTC)
    begin = _back_from(expression, zone, end)
    if begin is None:
        return None
    latest = None
    for found in _times(expression, zone, begin):
        if found > end:
            break
        latest = found
    return None if latest is None else latest.timestamp()


def _back_from(expression: str, zone: str, end: datetime) -> datetime | None:
    """Return a time from which a step forward cannot miss the last time before `end`.

    A step back may differ from one forward by the hours of a change of clocks, but only for fixed times.
    """
    from cronsim import CronSim

    margin = _OVERLAP if _is_of_fixed_times(expression) else timedelta()
    minutes = _without_seconds(expression) if margin else expression
    local = (end - margin + timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    try:
        back = next(CronSim(minutes, local, reverse=True))
    except StopIteration:
        return None
    return back.astimezone(UTC) - margin - timedelta(minutes=1 if margin else 0, seconds=1)


def _times(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Iterate over times, in order, each once. The first ones may not be after `after`."""
    from cronsim import CronSim

    here = ZoneInfo(zone)
    parts = expression.split()
    if len(parts) == _FIELDS[0] or not _is_of_fixed_times(expression):
        for found in CronSim(expression, after.astimezone(here)):
            yield found.astimezone(UTC)
        return
    # Seconds of fixed times follow the rules of their minutes.
    seconds = _seconds_of(parts[0])
    before = (after - timedelta(minutes=1)).astimezone(here)
    for found in CronSim(_without_seconds(expression), before):
        for second in seconds:
            yield found.astimezone(UTC) + timedelta(seconds=second)


def _is_of_fixed_times(expression: str) -> bool:
    """Return whether minutes and hours are named, so that the rules for changes of clocks apply."""
    minutes, hours = expression.split()[-5:-3]
    return not minutes.startswith("*") and not hours.startswith("*")


def _without_seconds(expression: str) -> str:
    return " ".join(expression.split()[-5:])


def _seconds_of(field: str) -> list[int]:
    from cronsim import CronSim

    return sorted(CronSim(f"{field} * * * * *", datetime(2026, 1, 1, tzinfo=UTC)).seconds)
