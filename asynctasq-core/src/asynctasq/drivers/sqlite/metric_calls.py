"""The calls of `SupportsMetrics` of the sqlite driver."""

from typing import TypeVar

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq.driverkit.metrics import check_flush
from asynctasq.driverkit.sql.metric_walk import MetricWalk
from asynctasq.drivers.sqlite.metrics import AddMetrics, Metrics, Recent
from asynctasq.drivers.sqlite.requests import Operation

T = TypeVar("T")


class MetricCalls:
    """Counts of workers, and their latest outcomes."""

    async def _write_unsynced(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _read(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def add_metrics(self, flush: MetricFlush) -> None:
        check_flush(flush)
        await self._write_unsynced(AddMetrics(flush))

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
        walk = MetricWalk(
            since=since, until=until, queue=queue, task=task, limit=limit, cursor=cursor
        )
        return await self._read(Metrics(walk))

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        return await self._read(Recent(queue, limit, cursor))
