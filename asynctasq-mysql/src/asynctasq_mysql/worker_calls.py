"""The methods of WORKERS and WORKER_REQUESTS."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import Requests, WorkerRequest
from asynctasq.driverkit.sql import check_version
from asynctasq_mysql import inspection, leasing
from asynctasq_mysql import worker_requests as operations
from asynctasq_mysql.store import Store


class WorkerCalls(ABC):
    """The part of the driver that keeps the registry of workers, and requests about them."""

    description: str

    @abstractmethod
    def _opened(self) -> Store: ...

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        await inspection.record_worker(self._opened(), worker, ttl)

    async def forget_worker(self, worker_id: str) -> None:
        await inspection.forget_worker(self._opened(), worker_id)

    async def end_owner(self, owner: str) -> None:
        await leasing.end_owner(self._opened(), owner)

    async def workers(self) -> list[WorkerInfo]:
        return await inspection.workers(self._opened())

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        store = self._opened()
        check_version(
            f"The database at {self.description}",
            store.version,
            operations.VERSION,
            purpose="keep requests about workers",
        )
        return await operations.request_workers(store, ids, request)

    async def requests(self, owner: str) -> Requests:
        return await operations.requests(self._opened(), owner)
