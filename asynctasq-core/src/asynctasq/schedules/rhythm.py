"""Rhythms: cron, a fixed interval, or a single time. Each gives the first, the next and the latest time."""

from math import floor
from typing import TypeAlias

from asynctasq.records import record
from asynctasq.schedules.cron import latest_until, next_after


@record
class Cron:
    """Times of a cron expression."""

    expression: str
    """As `parse_cron` returned it."""
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"cron {self.expression} {self.zone}"


@record
class Every:
    """Times at a fixed interval, counted from the first one. A late run does not move those that follow."""

    seconds: float

    def __str__(self) -> str:
        return f"every {self.seconds!r}"


@record
class At:
    """A single time."""

    time: float
    """Seconds since the Unix epoch."""

    def __str__(self) -> str:
        return f"at {self.time!r}"


Rhythm: TypeAlias = Cron | Every | At


def parse_rhythm(text: str) -> Rhythm:
    """Return the rhythm that `str` made a text of.

    Raises:
        ValueError: it is not such a text.
    """
    kind, _, rest = text.partition(" ")
    if kind == "cron":
        expression, _, zone = rest.rpartition(" ")
        return Cron(expression, zone)
    if kind == "every":
        return Every(float(rest))
    if kind == "at":
        return At(float(rest))
    raise ValueError(f"A rhythm must begin with cron, every or at, got {text!r}.")


def first_time(rhythm: Rhythm, now: float) -> float:
    """Return the first time of a schedule that is made now."""
    if isinstance(rhythm, Every):
        return now + rhythm.seconds
    return (
        rhythm.time
        if isinstance(rhythm, At)
        else next_after(rhythm.expression, rhythm.zone, floor(now))
    )


def next_time(rhythm: Rhythm, planned: float, after: float) -> float | None:
    """Return the first time after `after`; None if there is none.

    Args:
        rhythm: of the schedule.
        planned: one of its times, from which intervals are counted.
        after: not before `planned`.
    """
    if isinstance(rhythm, At):
        return None
    if isinstance(rhythm, Cron):
        return next_after(rhythm.expression, rhythm.zone, floor(after))
    found = planned + (floor((after - planned) / rhythm.seconds) + 1) * rhythm.seconds
    return found if found > after else found + rhythm.seconds  # the division was rounded


def latest_time(rhythm: Rhythm, planned: float, until: float) -> float:
    """Return the last time that is not after `until`; `planned` if there was none since.

    Args:
        rhythm: of the schedule.
        planned: one of its times.
        until: not before `planned`.
    """
    if isinstance(rhythm, At):
        return planned
    if isinstance(rhythm, Cron):
        found = latest_until(rhythm.expression, rhythm.zone, floor(until))
        return planned if found is None else max(found, planned)
    found = planned + floor((until - planned) / rhythm.seconds) * rhythm.seconds
    return max(found if found <= until else found - rhythm.seconds, planned)
