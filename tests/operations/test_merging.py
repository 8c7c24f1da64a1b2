"""Rows of counts are added up by span of time, and by queue and task."""

import pytest

from asynctasq.contracts.capabilities.metrics import MetricRow
from asynctasq.counts import NAMES, RUN, WAIT, Count, pack_counts
from asynctasq.operations.merging import (
    Counts,
    Point,
    add_rows,
    percentiles,
    points,
    stats,
)

HOUR = 3600.0


def row(
    at: float, counts: dict[int, int], *, queue: str = "q", task: str = "t", seconds: float = 60.0
) -> MetricRow:
    return MetricRow(at, seconds, queue, task, pack_counts(counts))


def test_rows_are_added_by_key_and_damaged_ones_left_out() -> None:
    rows = [
        row(0.0, {Count.COMPLETED: 1, RUN: 1}),
        row(60.0, {Count.COMPLETED: 2}, task="u"),
        row(120.0, {Count.COMPLETED: 4, Count.DEAD: 1}),
        MetricRow(0.0, 60.0, "q", "t", b"damaged"),
        MetricRow(0.0, 60.0, "q", "only damaged", b""),
    ]
    sums: dict[str, Counts] = {}
    add_rows(sums, rows[:2], lambda each: each.task)
    add_rows(sums, rows[2:], lambda each: each.task)
    assert sums == {
        "t": {Count.COMPLETED: 5, Count.DEAD: 1, RUN: 1},
        "u": {Count.COMPLETED: 2},
    }


@pytest.mark.parametrize(
    ("since", "until", "step", "expected"),
    [
        (0.0, 0.0, 60.0, []),
        (100.0, 0.0, 60.0, []),
        (0.0, 60.0, 60.0, [(0.0, 5)]),
        (0.0, 61.0, 60.0, [(0.0, 5), (60.0, 0)]),
        (0.0, 180.0, 60.0, [(0.0, 5), (60.0, 0), (120.0, 7)]),
        (7200.0, 7260.0, 60.0, [(7200.0, 5)]),
        (0.0, 180.0, 90.0, [(0.0, 5), (90.0, 0)]),
        (0.0, 2 * HOUR, HOUR, [(0.0, 5), (HOUR, 0)]),
    ],
)
def test_points_are_in_each_span(
    since: float, until: float, step: float, expected: list[tuple[float, int]]
) -> None:
    by_span: dict[int, Counts] = {0: {Count.COMPLETED: 5}, 2: {Count.COMPLETED: 7, Count.LOST: 1}}
    found = points(by_span, "completed", since=since, until=until, step=step)
    assert found == [Point(at, value) for at, value in expected]


@pytest.mark.parametrize("name", NAMES)
def test_points_are_of_the_count_that_was_asked_for(name: str) -> None:
    by_span: dict[int, Counts] = {
        0: {number.value: place for place, number in enumerate(NAMES.values(), 1)}
    }
    [point] = points(by_span, name, since=0.0, until=60.0, step=60.0)
    assert point.value == list(NAMES).index(name) + 1


def test_times_without_runs_are_unknown() -> None:
    times = percentiles({Count.COMPLETED: 5}).run
    assert (times.runs, times.mean, times.p50, times.p95, times.p99) == (0, None, None, None, None)


def test_run_and_waiting_times_are_apart() -> None:
    counts: Counts = {
        RUN + 10: 99,
        RUN + 30: 1,
        WAIT + 2: 50,
        Count.RUN_MICROS: 100_000_000,
        Count.WAIT_MICROS: 1_000_000,
    }
    found = percentiles(counts)
    assert (found.run.runs, found.run.mean) == (100, 1.0)
    assert (found.wait.runs, found.wait.mean) == (50, 0.02)
    assert found.run.p50 is not None
    assert found.run.p99 is not None
    assert found.wait.p99 is not None
    assert found.run.p50 < found.run.p99 == pytest.approx(0.003 * 1.25**10)
    assert found.wait.p99 < found.run.p50


def test_stats_are_sorted_by_queue_and_task() -> None:
    sums: dict[tuple[str, str], Counts] = {
        ("b", "x"): {Count.COMPLETED: 1},
        ("a", "y"): {Count.DEAD: 2, Count.EXPIRED: 3},
        ("a", "x"): {Count.RELEASED: 4, Count.CANCELLED: 5, Count.RETRIED: 6, Count.LOST: 7},
    }
    found = stats(sums)
    assert [(each.queue, each.task) for each in found] == [("a", "x"), ("a", "y"), ("b", "x")]
    first, second, third = found
    assert (first.released, first.cancelled, first.retried, first.lost) == (4, 5, 6, 7)
    assert (second.dead, second.expired, second.completed) == (2, 3, 0)
    assert third.completed == 1
