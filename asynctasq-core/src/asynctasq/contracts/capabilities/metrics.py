"""METRICS (reserved): counts per minute, queue and task."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class MetricKey:
    """The key of a counter: the events that it counts."""

    minute: int
    """Minutes since the Unix epoch."""
    queue: str
    task: str
    name: str
    """Name of the count, or of the bucket of a duration."""


@record
class MetricPoint:
    """A sum over a span of time."""

    at: float
    """Begin of the span, in seconds since the Unix epoch."""
    queue: str
    task: str
    name: str
    value: int


@runtime_checkable
class SupportsMetrics(Protocol):
    """METRICS. Minutes are kept for a day, hours for thirty days."""

    async def add_metrics(self, source: str, counts: Mapping[MetricKey, int]) -> None:
        """Add the counts of a worker or dispatcher."""
        ...

    async def metrics(
        self,
        *,
        since: float,
        until: float,
        step: float,
        queue: str | None = None,
        task: str | None = None,
    ) -> Sequence[MetricPoint]:
        """Return sums for each span of `step` seconds."""
        ...
