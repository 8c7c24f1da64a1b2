"""Counts of the whole life of a worker, and of several workers together, as metrics."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from asynctasq.counts import BOUNDS, BUCKETS, NAMES, RUN, WAIT, Count, add_to, histogram
from asynctasq.exposition import Family, Histogram, Kind

Totals: TypeAlias = dict[tuple[str, str], dict[int, int]]
"""Counts by queue and task."""

EVERY = 4
"""One of so many bounds is shown: each bucket is then 2.4 times as long as the one before."""
SHOWN = range(EVERY - 1, BUCKETS, EVERY)
"""Numbers of the buckets whose upper bounds are shown."""
_LABELS = ("queue", "task")


def packed_totals(totals: Totals) -> list[list[Any]]:
    """Return totals as JSON data."""
    return [[queue, task, counts] for (queue, task), counts in totals.items()]


def add_totals(sums: Totals, packed: Iterable[Iterable[Any]]) -> None:
    """Add what `packed_totals` has returned to sums, in place."""
    for queue, task, counts in packed:
        numbers = {int(number): value for number, value in counts.items()}
        add_to(sums.setdefault((queue, task), {}), numbers)


def families_of(totals: Totals) -> list[Family]:
    """Return totals as metrics."""
    return [
        Family(
            "asynctasq_attempts",
            "Fetched messages by what became of them.",
            Kind.COUNTER,
            (*_LABELS, "outcome"),
            {
                (*pair, name): float(counts[number])
                for pair, counts in totals.items()
                for name, number in NAMES.items()
                if number in counts
            },
        ),
        Family(
            "asynctasq_attempt_seconds",
            "Run times of attempts.",
            labels=_LABELS,
            histograms=_histograms(totals, RUN, Count.RUN_MICROS),
        ),
        Family(
            "asynctasq_start_latency_seconds",
            "Times from when a message is due to when its task starts.",
            labels=_LABELS,
            histograms=_histograms(totals, WAIT, Count.WAIT_MICROS),
        ),
    ]


def _histograms(
    totals: Mapping[tuple[str, str], Mapping[int, int]], first: int, micros: Count
) -> dict[tuple[str, ...], Histogram]:
    found: dict[tuple[str, ...], Histogram] = {}
    for pair, counts in totals.items():
        buckets = histogram(counts, first)
        if not any(buckets):
            continue
        shown = [(BOUNDS[number], sum(buckets[: number + 1])) for number in SHOWN]
        found[pair] = Histogram(shown, sum(buckets), counts.get(micros, 0) / 1e6)
    return found
