"""Adds up rows of counts from a store: by span of time, or by queue and task."""

from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import TypeAlias, TypeVar

from asynctasq.contracts.capabilities.metrics import MetricRow
from asynctasq.counts import NAMES, RUN, WAIT, Count, add_to, histogram, percentile, unpack_counts
from asynctasq.records import record

K = TypeVar("K")
Counts: TypeAlias = dict[int, int]


@record
class Point:
    """A count in one span of time."""

    at: float
    """Begin of the span, in seconds since the Unix epoch."""
    value: int


@record
class Times:
    """Durations of runs, in seconds. Percentiles are right within one bucket of factor 1.25."""

    runs: int
    mean: float | None
    """None without runs, like the percentiles."""
    p50: float | None
    p95: float | None
    p99: float | None


@record
class Percentiles:
    """Run times, and times for which messages waited after they were due."""

    run: Times
    wait: Times


@record
class TaskStats:
    """Counts and times of one task of one queue."""

    queue: str
    task: str
    completed: int
    retried: int
    """Runs that failed, and whose messages run again."""
    dead: int
    cancelled: int
    released: int
    """Runs that were given up without being counted, as when a worker stops."""
    lost: int
    """Leases that ended because they were not renewed."""
    expired: int
    times: Percentiles


def add_rows(
    sums: dict[K, Counts], rows: Iterable[MetricRow], key: Callable[[MetricRow], K]
) -> None:
    """Add rows to sums by key, in place. Damaged rows are left out."""
    for row in rows:
        counts = unpack_counts(row.counts)
        if counts is not None:
            add_to(sums.setdefault(key(row), {}), counts)


def points(
    by_span: Mapping[int, Counts], name: str, *, since: float, until: float, step: float
) -> list[Point]:
    """Return a count for each span of `step` seconds, also where it is 0.

    Args:
        by_span: sums by the number of the span.
        name: of `NAMES`.
        since: begin of the first span.
        until: end of the last span, which may be cut.
        step: seconds.
    """
    spans = max(ceil((until - since) / step), 0)
    return [
        Point(since + number * step, by_span.get(number, {}).get(NAMES[name], 0))
        for number in range(spans)
    ]


def percentiles(counts: Counts) -> Percentiles:
    """Return the times of runs that were added up."""
    return Percentiles(
        _times(histogram(counts, RUN), counts.get(Count.RUN_MICROS, 0)),
        _times(histogram(counts, WAIT), counts.get(Count.WAIT_MICROS, 0)),
    )


def _times(buckets: list[int], micros: int) -> Times:
    runs = sum(buckets)
    mean = micros / 1e6 / runs if runs else None
    return Times(runs, mean, *(percentile(buckets, part) for part in (0.5, 0.95, 0.99)))


def stats(by_task: Mapping[tuple[str, str], Counts]) -> list[TaskStats]:
    """Return counts and times by queue and task, sorted by both."""
    return [
        TaskStats(
            queue,
            task,
            **{name: by_task[queue, task].get(number, 0) for name, number in NAMES.items()},
            times=percentiles(by_task[queue, task]),
        )
        for queue, task in sorted(by_task)
    ]
