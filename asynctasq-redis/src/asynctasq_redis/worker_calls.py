"""The calls of the Redis driver about workers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import (
    REQUEST_KEPT_SECONDS,
    Requests,
    WorkerRequest,
)
from asynctasq.driverkit.worker_requests import REQUEST_NUMBERS, owners_of, request_of
from asynctasq.message import Lease
from asynctasq_redis import admin
from asynctasq_redis.codec import text_bytes, whole_micros
from asynctasq_redis.leasing import NewsBuffer

if TYPE_CHECKING:
    from asynctasq_redis.server import Server


class WorkerCalls:
    """The registry of workers, and requests about them."""

    _offset: int
    _news: NewsBuffer

    def _opened(self) -> "Server":
        raise NotImplementedError

    async def record_worker(self, worker: WorkerInfo, *, ttl: float) -> None:
        await admin.record_worker(self._opened(), self._offset, worker, ttl)

    async def forget_worker(self, worker_id: str) -> None:
        await self._opened().run("forget_worker", text_bytes(worker_id))

    async def end_owner(self, owner: str) -> None:
        await admin.end_owner(self._opened(), self._offset, owner, self._news)

    async def workers(self) -> list[WorkerInfo]:
        return await admin.workers(self._opened(), self._offset)

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        server = self._opened()
        workers = await admin.workers(server, self._offset)
        owners = owners_of(workers, ids)
        known = [text_bytes(owner) for owner in owners if owner]
        living = [text_bytes(each.owner) for each in workers if each.owner]
        answers: list[bytes] = await server.run(
            "request_workers",
            self._offset,
            REQUEST_NUMBERS[request],
            whole_micros(REQUEST_KEPT_SECONDS),
            len(known),
            *known,
            *living,
        )
        found = map(_request, answers)
        return [next(found) if owner else None for owner in owners]

    async def requests(self, owner: str) -> Requests:
        rows, request = await self._opened().run("requests", text_bytes(owner))
        leases = [Lease(one, token) for one, token in zip(rows[::2], rows[1::2], strict=True)]
        return Requests(leases, _request(request))


def _request(stored: bytes) -> WorkerRequest:
    """Return the request of a record, which may be damaged."""
    number = stored.partition(b":")[0]
    return request_of(int(number) if number.isdigit() else None)
