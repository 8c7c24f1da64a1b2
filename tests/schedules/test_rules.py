"""Rhythms, catch-up, jitter and IDs of runs, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasq.message import OnConflict, ScheduledRun, Unique, time_of_id
from asynctasq.schedules.catch_up import Due, runs_due
from asynctasq.schedules.policies import (
    CatchUp,
    Overlap,
    Policies,
    id_of_run,
    jitter_of,
    unique_key,
)
from asynctasq.schedules.rhythm import (
    At,
    Cron,
    Every,
    Rhythm,
    first_time,
    latest_time,
    next_time,
    parse_rhythm,
)

MINUTELY = Cron("* * * * *")
EVERY = Every(60.0)
START = 1_800_000_000.0
"""A whole minute."""


@pytest.mark.parametrize(
    ("rhythm", "now", "expected"),
    [
        (EVERY, START + 7.5, START + 67.5),
        (At(START), START + 9.0, START),
        (MINUTELY, START, START + 60.0),
        (MINUTELY, START + 59.9, START + 60.0),
    ],
)
def test_first_time(rhythm: Rhythm, now: float, expected: float) -> None:
    assert first_time(rhythm, now) == expected


@pytest.mark.parametrize(
    "rhythm", [EVERY, Every(0.1), At(START), Cron("0 7 * * MON-FRI", "Europe/Berlin")]
)
def test_texts_of_rhythms_are_read_back(rhythm: Rhythm) -> None:
    assert parse_rhythm(str(rhythm)) == rhythm


def policies(catch_up: str, window: float = 300.0) -> Policies:
    return Policies(CatchUp(catch_up), window)


@pytest.mark.parametrize(
    ("rhythm", "catch_up", "late", "times", "next_at"),
    [
        # In time.
        (EVERY, "skip", 0.0, [0.0], 60.0),
        (EVERY, "one", 0.0, [0.0], 60.0),
        (EVERY, "all", 0.0, [0.0], 60.0),
        (MINUTELY, "one", 3.0, [0.0], 60.0),
        (At(START), "one", 3.0, [0.0], None),
        # Late.
        (EVERY, "skip", 59.0, [0.0], 60.0),
        (EVERY, "skip", 200.0, [180.0], 240.0),
        (EVERY, "one", 200.0, [180.0], 240.0),
        (EVERY, "all", 200.0, [0.0, 60.0, 120.0, 180.0], 240.0),
        (MINUTELY, "skip", 200.0, [180.0], 240.0),
        (MINUTELY, "one", 200.0, [180.0], 240.0),
        (MINUTELY, "all", 200.0, [0.0, 60.0, 120.0, 180.0], 240.0),
        (Every(3600.0), "skip", 61.0, [], 3600.0),
        (Every(3600.0), "one", 61.0, [0.0], 3600.0),
        (Cron("0 * * * *"), "skip", 61.0, [], 3600.0),
        (At(START), "skip", 61.0, [], None),
        (At(START), "one", 1e9, [0.0], None),
        (At(START), "all", 1e9, [0.0], None),
        # Beyond the window.
        (EVERY, "all", 410.0, [120.0, 180.0, 240.0, 300.0, 360.0], 420.0),
        (MINUTELY, "all", 410.0, [120.0, 180.0, 240.0, 300.0, 360.0], 420.0),
        (Every(3600.0), "all", 400.0, [0.0], 3600.0),
        # The clock was set back after the claim.
        (EVERY, "one", -5.0, [0.0], 60.0),
    ],
)  # fmt: skip
def test_runs_of_a_schedule_that_is_due(
    rhythm: Rhythm, catch_up: str, late: float, times: list[float], next_at: float | None
) -> None:
    due = runs_due(rhythm, policies(catch_up), planned=START, now=START + late)
    expected = None if next_at is None else START + next_at
    assert due == Due(tuple(START + each for each in times), expected)


def test_many_missed_runs_take_several_firings() -> None:
    first = runs_due(EVERY, policies("all", 1e6), planned=START, now=START + 600.0, most=4)
    assert first == Due(tuple(START + 60.0 * number for number in range(4)), START + 240.0)
    assert first.next_at is not None
    second = runs_due(EVERY, policies("all", 1e6), planned=first.next_at, now=START + 600.0, most=9)
    assert second == Due(tuple(START + 60.0 * number for number in range(4, 11)), START + 660.0)


@given(
    seconds=st.floats(0.1, 1e6),
    planned=st.floats(0, 4e9),
    late=st.floats(0, 1e7),
    catch_up=st.sampled_from(CatchUp),
)
def test_the_next_time_is_later_than_now_and_runs_are_not(
    seconds: float, planned: float, late: float, catch_up: CatchUp
) -> None:
    now = planned + late
    due = runs_due(Every(seconds), Policies(catch_up), planned=planned, now=now, most=50)
    assert due.next_at is not None
    assert all(planned <= each <= now for each in due.times)
    assert sorted(set(due.times)) == list(due.times)
    assert due.next_at > now or len(due.times) == 50
    assert all(each < due.next_at for each in due.times)


def test_late_runs_do_not_move_the_grid() -> None:
    planned = START
    for late in (1.0, 59.0, 75.0, 3.0):
        due = runs_due(EVERY, policies("one"), planned=planned, now=planned + late)
        assert due.next_at is not None
        assert (due.next_at - START) % 60.0 == 0.0
        planned = due.next_at


@pytest.mark.parametrize("rhythm", [EVERY, MINUTELY])
def test_latest_and_next_time_enclose_a_moment(rhythm: Rhythm) -> None:
    for late in (0.0, 0.5, 59.5, 60.0, 61.0, 86_400.0):
        at = START + late
        following = next_time(rhythm, START, at)
        assert following is not None
        assert latest_time(rhythm, START, at) <= at < following
        assert following - latest_time(rhythm, START, at) == 60.0


def test_unique_keys_of_policies() -> None:
    assert unique_key("poll", Overlap.ALLOW) is None
    assert unique_key("poll", Overlap.SKIP) == Unique("schedule:poll")
    replacing = Unique("schedule:poll", on_conflict=OnConflict.REPLACE)
    assert unique_key("poll", Overlap.REPLACE) == replacing


def test_jitter_is_the_same_on_every_worker_and_spread_over_its_range() -> None:
    runs = [ScheduledRun(f"schedule {number}", START) for number in range(1_000)]
    delays = [jitter_of(run, 30.0) for run in runs]
    assert delays == [jitter_of(ScheduledRun(run.schedule, START), 30.0) for run in runs]
    assert all(0.0 <= delay < 30.0 for delay in delays)
    assert 14.0 < sum(delays) / len(delays) < 16.0
    assert jitter_of(runs[0], 0.0) == 0.0
    assert jitter_of(runs[0], 30.0) != jitter_of(ScheduledRun("schedule 0", START + 60.0), 30.0)


def test_ids_of_runs_are_derived_from_schedule_and_time() -> None:
    run = ScheduledRun("nightly", START)
    assert id_of_run(run) == id_of_run(ScheduledRun("nightly", START))
    assert time_of_id(id_of_run(run)) == START
    others = [ScheduledRun("nightly", START + 60.0), ScheduledRun("daily", START)]
    assert len({id_of_run(each) for each in (run, *others)}) == 3
    assert id_of_run(run)[8] >> 6 == 0b10
