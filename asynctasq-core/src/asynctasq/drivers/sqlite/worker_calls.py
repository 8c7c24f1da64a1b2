"""Calls of the SQLite driver about workers."""

from collections.abc import Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import Requests, WorkerRequest
from asynctasq.drivers.sqlite import inspection, leasing
from asynctasq.drivers.sqlite.requests import Operation
from asynctasq.drivers.sqlite.worker_requests import ReadRequests, RequestWorkers

T = TypeVar("T")


class WorkerCalls:
    """Calls of `SupportsWorkers` and `SupportsWorkerRequests`."""

    async def _read(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _write(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _write_unsynced(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        await self._write_unsynced(inspection.RecordWorker(worker, ttl))

    async def forget_worker(self, worker_id: str) -> None:
        await self._write_unsynced(inspection.ForgetWorker(worker_id))

    async def end_owner(self, owner: str) -> None:
        while not await self._write_unsynced(leasing.EndOwner(owner)):
            pass

    async def workers(self) -> list[WorkerInfo]:
        return await self._read(inspection.Workers())

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        return await self._write(RequestWorkers(ids, request))

    async def requests(self, owner: str) -> Requests:
        return await self._read(ReadRequests(owner))
