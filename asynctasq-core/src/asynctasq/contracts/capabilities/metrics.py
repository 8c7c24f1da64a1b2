"""METRICS: counts per minute, queue and task, and the latest outcomes of each worker."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.records import record

MINUTES_KEPT_SECONDS = 86_400.0
"""Seconds for which counts are kept by the minute. After that, whole hours are added up."""
HOURS_KEPT_SECONDS = 30 * 86_400.0
"""Seconds for which counts are kept by the hour."""
AHEAD_SECONDS = 3600.0
"""Counts of a minute that is further ahead of the store's clock are left out."""
METRIC_ROWS_AT_ONCE = 2000
"""Rows that one call of `metrics` returns, at most."""


@record
class MetricCounts:
    """Counts of a worker for one task of one queue in one minute."""

    minute: int
    """Minutes since the Unix epoch, by the worker's clock."""
    queue: str
    task: str
    counts: bytes
    """Packed by core. Drivers add them up with `driverkit.sum_counts`."""


@record
class MetricFlush:
    """Counts of a worker since its last flush."""

    source: str
    """The worker. Each start of a worker is another source."""
    number: int
    """Number of the flush, greater than those before it of the same source. A repeated flush keeps its number."""
    rows: Sequence[MetricCounts] = ()
    """At most 2,000."""
    recent: Mapping[str, bytes] | None = None
    """The latest outcomes of the source by queue. Packed by core, opaque to drivers."""


@record
class MetricRow:
    """Counts of one task of one queue in a span of time. There may be several rows of the same span."""

    at: float
    """Begin of the span, in seconds since the Unix epoch."""
    seconds: float
    """60, or 3600 for spans that are more than a day old."""
    queue: str
    task: str
    counts: bytes


@record
class RecentRow:
    """The latest outcomes of one worker in one queue."""

    queue: str
    source: str
    data: bytes


@runtime_checkable
class SupportsMetrics(Protocol):
    """METRICS. Counts are kept by the minute for a day, then by the hour for thirty days."""

    async def add_metrics(self, flush: MetricFlush) -> None:
        """Add the counts of a flush, and replace the latest outcomes of its source.

        The flush is added whole or not at all, and once: the store keeps the number of the last flush of each
        source for a day. Counts of hours that ended more than a day ago are left out. Each call also does a
        piece of the upkeep of all counts.
        """
        ...

    async def metrics(
        self,
        *,
        since: float,
        until: float,
        queue: str | None = None,
        task: str | None = None,
        limit: int = METRIC_ROWS_AT_ONCE,
        cursor: str | None = None,
    ) -> Page[MetricRow]:
        """Return a page of the counts whose span begins at `since` or later, and before `until`.

        The order is the driver's choice. A page may be short or empty and still have a cursor.

        Args:
            since: seconds since the Unix epoch.
            until: seconds since the Unix epoch.
            queue: only this queue.
            task: only this task; `prefix*` selects all names that begin so.
            limit: rows of a page, at most.
            cursor: that of the page before.
        """
        ...

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        """Return a page of the latest outcomes. Those of a source are kept for a day after its last flush of them.

        Args:
            queue: only this queue.
            limit: rows of a page, at most.
            cursor: that of the page before.
        """
        ...
