"""The calls of `SupportsMetrics` of the Redis driver."""

from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq_redis import metrics

if TYPE_CHECKING:
    from asynctasq_redis.server import Server


class MetricCalls:
    """Counts of workers, and their latest outcomes."""

    _offset: int

    def _opened(self) -> "Server":
        raise NotImplementedError

    async def add_metrics(self, flush: MetricFlush) -> None:
        await metrics.add_metrics(self._opened(), self._offset, flush)

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
        return await metrics.metrics(
            self._opened(),
            since=since,
            until=until,
            queue=queue,
            task=task,
            limit=limit,
            cursor=cursor,
        )

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        return await metrics.recent_outcomes(
            self._opened(), queue=queue, limit=limit, cursor=cursor
        )
