"""The methods of WORKERS and WORKER_REQUESTS."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import (
    REQUEST_KEPT_SECONDS,
    Requests,
    WorkerRequest,
)
from asynctasq.driverkit.sql import check_version
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import REQUEST_NUMBERS, owners_of, request_of
from asynctasq.message import Lease
from asynctasq_postgres import inspection
from asynctasq_postgres.opened import Opened
from asynctasq_postgres.server import CallContext
from asynctasq_postgres.settings import PostgresSettings

VERSION = 5
"""The version of the tables that have a place for requests."""


class WorkerCalls(ABC):
    """The part of the driver that keeps the registry of workers, and requests about them."""

    settings: PostgresSettings
    _context: CallContext

    @abstractmethod
    def _opened(self) -> Opened: ...

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        await inspection.record_worker(self._opened().server, worker, ttl)

    async def forget_worker(self, worker_id: str) -> None:
        await self._opened().server.rows("forget_worker", self.settings.namespace, worker_id)

    async def end_owner(self, owner: str) -> None:
        server = self._opened().server
        while not await server.value(
            "end_owner", self.settings.namespace, owner, self._context.shift
        ):
            pass

    async def workers(self) -> list[WorkerInfo]:
        return await inspection.workers(self._opened().server)

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        opened = self._opened()
        server = opened.server
        place = f"The PostgreSQL at {server.place}"
        check_version(place, opened.version, VERSION, purpose="keep requests about workers")
        workers = await inspection.workers(server)
        owners = owners_of(workers, ids)
        rows = await server.rows(
            "request_workers",
            server.settings.namespace,
            [owner for owner in owners if owner],
            REQUEST_NUMBERS[request],
            server.shift,
            micros(REQUEST_KEPT_SECONDS),
            [each.owner for each in workers],
        )
        found = {owner: request_of(number) for owner, number in rows}
        return [found.get(owner) for owner in owners]

    async def requests(self, owner: str) -> Requests:
        opened = self._opened()
        name = "requests" if opened.version >= VERSION else "cancel_requests"
        rows = await opened.server.rows(name, self.settings.namespace, owner)
        leases = [Lease(row[0], row[1]) for row in rows if row[0] is not None]
        numbers = [row[2] for row in rows if row[0] is None]
        return Requests(leases, request_of(numbers[0]) if numbers else WorkerRequest.RUN)
