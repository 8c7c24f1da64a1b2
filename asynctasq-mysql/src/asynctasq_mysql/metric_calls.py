"""The methods of METRICS."""

from abc import ABC, abstractmethod

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq.driverkit.sql import check_version
from asynctasq.driverkit.sql.metric_walk import MetricWalk
from asynctasq_mysql import metrics
from asynctasq_mysql.store import Store


class MetricCalls(ABC):
    """The part of the driver that keeps counts of workers."""

    description: str

    @abstractmethod
    def _opened(self) -> Store: ...

    async def add_metrics(self, flush: MetricFlush) -> None:
        await metrics.add_metrics(self._store_of_counts(), flush)

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
        return await metrics.metrics(self._store_of_counts(), walk)

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        return await metrics.recent_outcomes(
            self._store_of_counts(), queue=queue, limit=limit, cursor=cursor
        )

    def _store_of_counts(self) -> Store:
        store = self._opened()
        check_version(
            f"The database at {self.description}",
            store.version,
            metrics.VERSION,
            purpose="keep counts",
        )
        return store
