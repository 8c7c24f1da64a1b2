"""The calls of `SupportsMetrics` of the memory driver."""

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq.drivers.memory.brokered import StateStore


class MetricCalls:
    """Counts of workers, and their latest outcomes."""

    def _opened(self) -> StateStore:
        raise NotImplementedError

    async def add_metrics(self, flush: MetricFlush) -> None:
        store = self._opened()
        with store.lock:
            store.metrics.add(flush, store.now())

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
        store = self._opened()
        with store.lock:
            return store.metrics.page(
                since=since, until=until, queue=queue, task=task, limit=limit, cursor=cursor
            )

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        store = self._opened()
        with store.lock:
            return store.metrics.latest(queue=queue, limit=limit, cursor=cursor)
