"""Calls that the state store answers alone."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import (
    Capability,
    DeadLetter,
    Outcome,
    Page,
    WorkerInfo,
    require,
)
from asynctasq.contracts.capabilities.events import (
    LISTENING_SECONDS,
    EventPage,
    SupportsEvents,
)
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
    SupportsMetrics,
)
from asynctasq.contracts.capabilities.worker_requests import (
    SupportsWorkerRequests,
    WorkerRequest,
)
from asynctasq.drivers.composed.parts import StateDriver
from asynctasq.message import Message
from asynctasq.settlement import Reason


class StateCalls:
    """Outcomes, pauses, dead letters and workers of a composed driver."""

    state: StateDriver

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        return await self.state.results(ids)

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        await self.state.wait_results(ids, timeout=timeout)

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return await self.state.progress(ids)

    async def pause(self, queue: str) -> None:
        await self.state.pause(queue)

    async def resume(self, queue: str) -> None:
        await self.state.resume(queue)

    async def paused(self) -> frozenset[str]:
        return await self.state.paused()

    async def dead_letters(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        return await self.state.dead_letters(
            queue=queue, task=task, reason=reason, error=error, limit=limit, cursor=cursor
        )

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        return await self.state.requeue(ids)

    async def requeue_edited(self, message: Message) -> bool:
        return await self.state.requeue_edited(message)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return await self.state.delete_dead(ids)

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        await self.state.record_worker(worker, ttl=ttl)

    async def forget_worker(self, worker_id: str) -> None:
        await self.state.forget_worker(worker_id)

    async def workers(self) -> list[WorkerInfo]:
        return await self.state.workers()

    @property
    def _requesting(self) -> SupportsWorkerRequests:
        """State store, if it keeps requests about workers."""
        return require(
            self.state,
            Capability.WORKER_REQUESTS,
            SupportsWorkerRequests,
            purpose="Requesting something of workers",
        )

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        return await self._requesting.request_workers(ids, request)

    @property
    def _counts(self) -> SupportsMetrics:
        return require(self.state, Capability.METRICS, SupportsMetrics, purpose="Counting runs")

    async def add_metrics(self, flush: MetricFlush) -> None:
        await self._counts.add_metrics(flush)

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
        return await self._counts.metrics(
            since=since, until=until, queue=queue, task=task, limit=limit, cursor=cursor
        )

    async def recent_outcomes(
        self, *, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[RecentRow]:
        return await self._counts.recent_outcomes(queue=queue, limit=limit, cursor=cursor)

    @property
    def _events(self) -> SupportsEvents:
        return require(self.state, Capability.EVENTS, SupportsEvents, purpose="Publishing events")

    async def listening(self) -> bool:
        return await self._events.listening()

    async def publish(self, batch: bytes, count: int) -> None:
        await self._events.publish(batch, count)

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        return await self._events.events(after, limit=limit, timeout=timeout, hold=hold)
