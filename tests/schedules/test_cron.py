"""Times of cron expressions, compared with the rules of Vixie cron around changes of clocks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from asynctasq.schedules.cron import check_zone, latest_until, next_after, parse_cron

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "Australia/Lord_Howe",  # changes by half an hour
    "Asia/Kolkata",  # has no change
)
YEAR = 2027
MINUTE = timedelta(minutes=1)
FIXED = (
    "30 2 * * *",
    "0,30 0-3 * * *",
    "15 1,2,3 * * MON-SAT",
    "45 23 * * *",
    "0 3 1 * *",
    "10 2 13 * FRI",
)
REPEATING = ("*/30 * * * *", "5 * * * *", "*/20 1-3 * * *", "* 2 * * SUN")
UNLIKE_VIXIE = {("* 2 * * SUN", "Australia/Lord_Howe")}
"""There cronsim passes over the half of an hour that comes twice."""
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def values(field: str, low: int, high: int) -> set[int]:
    """Return the numbers of a field of a cron expression."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("*" if span == "*" else span).partition("-")
        if first == "*":
            begin, end = low, high
        else:
            begin = DAYS.index(first) if first in DAYS else int(first)
            end = begin if not last else DAYS.index(last) if last in DAYS else int(last)
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


class Vixie:
    """Cron's rules, written as cron applies them: it looks at each minute."""

    def __init__(self, expression: str, zone: str) -> None:
        fields = expression.split()
        self.minutes, self.hours, self.days, self.months, self.weekdays = (
            values(field, low, high) for field, (low, high) in zip(fields, RANGES, strict=True)
        )
        self.is_and = fields[2].startswith("*") or fields[4].startswith("*")
        self.is_fixed = not fields[0].startswith("*") and not fields[1].startswith("*")
        self.zone = ZoneInfo(zone)

    def matches(self, local: datetime) -> bool:
        if local.minute not in self.minutes or local.hour not in self.hours:
            return False
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return local.month in self.months and (day and weekday if self.is_and else day or weekday)

    def times(self, begin: datetime, end: datetime) -> list[float]:
        """Return the times from `begin` until `end`, which are UTC."""
        found: set[datetime] = set()
        if self.is_fixed:
            local = (begin - timedelta(days=1)).replace(tzinfo=None)
            while local < (end + timedelta(days=1)).replace(tzinfo=None):
                if self.matches(local):
                    found.add(self.instant(local))
                local += MINUTE
        else:
            each = begin
            while each <= end:
                if self.matches(each.astimezone(self.zone)):
                    found.add(each)
                each += MINUTE
        return sorted(each.timestamp() for each in found if begin < each <= end)

    def instant(self, local: datetime) -> datetime:
        """Return when cron runs a job of a fixed time: right after the change if the time is skipped."""
        while True:
            instant = local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if instant.astimezone(self.zone).replace(tzinfo=None) == local:
                return instant
            local += MINUTE


def changes(zone: str) -> list[datetime]:
    """Return the changes of clocks of the year; one day in winter for a zone without changes."""
    here = ZoneInfo(zone)
    found = []
    each = datetime(YEAR, 1, 1, tzinfo=UTC)
    while each.year == YEAR:
        if (
            each.astimezone(here).utcoffset()
            != (each + timedelta(hours=1)).astimezone(here).utcoffset()
        ):
            found.append(each)
        each += timedelta(hours=1)
    return found or [datetime(YEAR, 2, 1, tzinfo=UTC)]


def times(expression: str, zone: str, begin: datetime, end: datetime) -> Iterator[float]:
    after = int(begin.timestamp())
    while True:
        found = next_after(parse_cron(expression), zone, after)
        if found > end.timestamp():
            return
        yield found
        after = int(found)


@pytest.mark.parametrize(
    ("expression", "zone"), sorted(set(product(FIXED + REPEATING, ZONES)) - UNLIKE_VIXIE)
)
def test_times_around_both_changes_of_clocks_are_those_of_vixie_cron(
    expression: str, zone: str
) -> None:
    for change in changes(zone):
        begin, end = change - timedelta(days=2), change + timedelta(days=2)
        expected = Vixie(expression, zone).times(begin, end)
        assert list(times(expression, zone, begin, end)) == expected
        for at in range(int(begin.timestamp()), int(end.timestamp()), 5407):
            before = [each for each in expected if each <= at]
            if before:
                assert latest_until(parse_cron(expression), zone, at) == before[-1], at


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 12 * * MON-FRI"])
@pytest.mark.sampled(5)
def test_times_of_a_year_are_those_of_vixie_cron(expression: str, zone: str) -> None:
    begin, end = datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 1, 1, 1, tzinfo=UTC)
    assert list(times(expression, zone, begin, end)) == Vixie(expression, zone).times(begin, end)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # The hour from 2 to 3 is left out on 28 March 2027 in Berlin, and comes twice on 31 October.
        ("30 2 * * *", "Europe/Berlin", "2027-03-28T00:59", "2027-03-28T01:00"),
        ("30 2 * * *", "Europe/Berlin", "2027-03-28T01:00", "2027-03-29T00:30"),
        ("30 2 * * *", "Europe/Berlin", "2027-10-31T00:00", "2027-10-31T00:30"),
        ("30 2 * * *", "Europe/Berlin", "2027-10-31T00:30", "2027-11-01T01:30"),
        ("15 30 2 * * *", "Europe/Berlin", "2027-03-28T00:59", "2027-03-28T01:00:15"),
        ("15 30 2 * * *", "Europe/Berlin", "2027-10-31T00:30:15", "2027-11-01T01:30:15"),
        ("0,30 0 12 * * *", "UTC", "2027-01-01T12:00", "2027-01-01T12:00:30"),
        ("*/10 * * * * *", "UTC", "2027-01-01T12:00", "2027-01-01T12:00:10"),
        ("13 0 13 * FRI", "UTC", "2027-08-07T00:00", "2027-08-13T00:13"),
        ("0 0 13 * FRI", "UTC", "2027-08-07T00:00", "2027-08-13T00:00"),
        ("0 0 13 * FRI", "UTC", "2027-08-13T00:00", "2027-08-20T00:00"),
        ("0 0 29 2 *", "UTC", "2027-01-01T00:00", "2028-02-29T00:00"),
        ("0 0 L * *", "UTC", "2027-02-01T00:00", "2027-02-28T00:00"),
        ("0 9 * jan,JUL Mon#1", "UTC", "2027-02-01T00:00", "2027-07-05T09:00"),
        ("@yearly", "UTC", "2027-02-01T00:00", "2028-01-01T00:00"),
        ("@monthly", "UTC", "2027-02-01T00:00", "2027-03-01T00:00"),
        ("@weekly", "UTC", "2027-02-01T00:00", "2027-02-07T00:00"),
        ("@Daily", "America/New_York", "2027-02-01T00:00", "2027-02-01T05:00"),
        ("@hourly", "UTC", "2027-02-01T00:00", "2027-02-01T01:00"),
    ],
)  # fmt: skip
def test_next_time(expression: str, zone: str, after: str, expected: str) -> None:
    at = int(datetime.fromisoformat(f"{after}+00:00").timestamp())
    found = next_after(parse_cron(expression), zone, at)
    assert datetime.fromtimestamp(found, UTC) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * * *", "five fields"),
        ("61 * * * *", "Bad minute"),
        ("0 0 30 2 *", "valid cron expression"),
        ("0 22-2 * * *", "22-23,0-2"),
        ("0 0 * * MOO", "Bad day-of-week"),
        ("@reboot", "where your application starts"),
        ("@every 5m", "every="),
        ("@fortnightly", "@monthly"),
    ],
)
def test_invalid_expressions_are_refused(expression: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "Etc/GMT+5"])
def test_zones_are_known(zone: str) -> None:
    assert check_zone(zone) == zone


@pytest.mark.parametrize("zone", ["Berlin", "", "Europe", "../etc/passwd", "Europe/Berlin\0"])
def test_unknown_zones_are_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="zone must be a time zone"):
        check_zone(zone)
