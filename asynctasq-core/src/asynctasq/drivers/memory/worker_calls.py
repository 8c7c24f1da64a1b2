"""Calls of the memory driver about workers."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import Requests, WorkerRequest
from asynctasq.driverkit.worker_requests import owners_of
from asynctasq.drivers.memory import views
from asynctasq.drivers.memory.brokered import StateStore


class WorkerCalls:
    """Calls of `SupportsWorkers` and `SupportsWorkerRequests`, each under the lock of the store."""

    def _opened(self) -> StateStore:
        raise NotImplementedError

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        store = self._opened()
        with store.lock:
            store.workers[worker.id] = (worker, store.now() + ttl)

    async def forget_worker(self, worker_id: str) -> None:
        store = self._opened()
        with store.lock:
            store.workers.pop(worker_id, None)

    async def end_owner(self, owner: str) -> None:
        store = self._opened()
        with store.lock:
            store.end_owner(owner)

    async def workers(self) -> list[WorkerInfo]:
        store = self._opened()
        with store.lock:
            return views.workers(store)

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        store = self._opened()
        with store.lock:
            workers, now = views.workers(store), store.now()
            store.worker_requests.forget({each.owner for each in workers}, now)
            return [
                store.worker_requests.put(owner, request, now) if owner else None
                for owner in owners_of(workers, ids)
            ]

    async def requests(self, owner: str) -> Requests:
        store = self._opened()
        with store.lock:
            return Requests(store.cancel_requests(owner), store.worker_requests.of(owner))
