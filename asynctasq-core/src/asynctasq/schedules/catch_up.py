"""The runs of a schedule that is due, and its next time."""

from asynctasq.records import record
from asynctasq.schedules.policies import CatchUp, Policies
from asynctasq.schedules.rhythm import Rhythm, latest_time, next_time

GRACE = 60.0
"""Seconds by which a time may be late before `CatchUp.SKIP` leaves it out."""
RUNS_AT_ONCE = 1_000
"""Runs of one firing, at most. The rest follows with the next claim."""


@record
class Due:
    """The effect of a schedule that is due."""

    times: tuple[float, ...]
    """The times that run, in order; empty if all are left out."""
    next_at: float | None
    """The next time; None if there is none."""


def runs_due(
    rhythm: Rhythm, policies: Policies, *, planned: float, now: float, most: int = RUNS_AT_ONCE
) -> Due:
    """Return the runs of a schedule that is due.

    Args:
        rhythm: of the schedule.
        policies: of the schedule.
        planned: the time that has fallen due.
        now: not before `planned`; by the store's clock.
        most: runs at once.
    """
    now = max(now, planned)
    if policies.catch_up is CatchUp.ALL:
        return _all_due(rhythm, policies.window, planned, now, most)
    latest = latest_time(rhythm, planned, now)
    is_left_out = policies.catch_up is CatchUp.SKIP and latest < now - GRACE
    return Due(() if is_left_out else (latest,), next_time(rhythm, planned, now))


def _all_due(rhythm: Rhythm, window: float, planned: float, now: float, most: int) -> Due:
    times: list[float] = []
    each: float | None = planned
    if planned < now - window:  # the latest one runs, even if it is older than the window
        earliest = next_time(rhythm, planned, now - window)
        each = (
            earliest
            if earliest is not None and earliest <= now
            else latest_time(rhythm, planned, now)
        )
    while each is not None and each <= now and len(times) < most:
        times.append(each)
        each = next_time(rhythm, planned, each)
    return Due(tuple(times), each)
