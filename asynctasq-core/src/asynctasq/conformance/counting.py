"""Calls of METRICS for its checks, through both instances."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.contracts.driver import Driver
from asynctasq.counts import Count, add_to, pack_counts, unpack_counts

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.metrics import (
        MetricCounts,
        MetricRow,
        RecentRow,
        SupportsMetrics,
    )

ALWAYS = (0.0, 1e10)
Sums = dict[tuple[str, str], dict[int, int]]


def metrics_of(driver: Driver) -> "SupportsMetrics":
    from asynctasq.contracts.capabilities.metrics import SupportsMetrics

    assert isinstance(driver, SupportsMetrics)  # `check_capabilities` has made sure
    return driver


async def present_minute(harness: Harness) -> int:
    """Return the present minute, by the store's clock."""
    delivery = await harness.enqueue_and_lease(queue=random_name("clock"))
    return int(delivery.enqueued_at // 60)


def counts_row(
    harness: Harness, minute: int, task: str = "shop.pay", queue: str | None = None, **counts: int
) -> "MetricCounts":
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    numbers = {Count[name.upper()].value: value for name, value in counts.items()}
    return MetricCounts(minute, queue or harness.queue, task, pack_counts(numbers))


async def flush(
    harness: Harness,
    *rows: "MetricCounts",
    source: str | None = None,
    number: int = 1,
    driver: Driver | None = None,
    recent: dict[str, bytes] | None = None,
) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricFlush

    added = MetricFlush(source or random_name("source"), number, rows, recent)
    await metrics_of(driver or harness.driver).add_metrics(added)


async def rows_of(
    harness: Harness,
    *,
    span: tuple[float, float] = ALWAYS,
    queue: str | None = None,
    task: str | None = None,
    limit: int = 1000,
    driver: Driver | None = None,
) -> "list[MetricRow]":
    """Return the rows of all pages; of the harness's queue, unless another is given."""
    found: list[MetricRow] = []
    cursor: str | None = None
    while True:
        page = await metrics_of(driver or harness.clone).metrics(
            since=span[0],
            until=span[1],
            queue=queue or harness.queue,
            task=task,
            limit=limit,
            cursor=cursor,
        )
        expect(len(page.items) <= limit, "a page has more rows than its limit")
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def sums_of(rows: "Sequence[MetricRow]") -> Sums:
    sums: Sums = {}
    for row in rows:
        add_to(sums.setdefault((row.queue, row.task), {}), unpack_counts(row.counts) or {})
    return sums


async def expect_sums(
    harness: Harness, expected: Mapping[str, Mapping[Any, int]], about: str
) -> None:
    """Check the sums by task of the harness's queue, as both instances see them."""
    wanted = {(harness.queue, task): counts for task, counts in expected.items()}
    for driver in (harness.driver, harness.clone):
        expect_equal(sums_of(await rows_of(harness, driver=driver)), wanted, about)


async def latest_outcomes(
    harness: Harness, queue: str | None, *, limit: int = 100
) -> dict[str, bytes]:
    found: list[RecentRow] = []
    cursor: str | None = None
    while True:
        page = await metrics_of(harness.clone).recent_outcomes(
            queue=queue, limit=limit, cursor=cursor
        )
        expect(len(page.items) <= limit, "a page has more rows than its limit")
        found += [row for row in page.items if queue in (None, row.queue)]
        cursor = page.cursor
        if cursor is None:
            break
    places = [(row.queue, row.source) for row in found]
    expect_equal(len(set(places)), len(places), "number of different rows")
    return {row.source: row.data for row in found}
