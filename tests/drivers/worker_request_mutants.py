"""Seeded bugs in requests about workers: each breaks a rule that the suite must check."""

from collections.abc import Collection

from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.worker_requests import WorkerRequests
from tests.drivers.mutants import MUTANTS


def broken(requests: type[WorkerRequests]) -> type[WorkerRequests]:
    """Register requests that are broken."""
    parts = {"worker_requests_class": requests, "__doc__": requests.__doc__}
    MUTANTS[type(requests.__name__, (Store,), parts)] = "worker_requests"
    return requests


@broken
class StopCanBeUndone(WorkerRequests):
    """A later request replaces one to stop."""

    def put(self, owner: str, request: WorkerRequest, now: float) -> WorkerRequest:
        self._requests[owner] = (request, now)
        return request


@broken
class FirstRequestHolds(WorkerRequests):
    """A quiet worker cannot be resumed."""

    def put(self, owner: str, request: WorkerRequest, now: float) -> WorkerRequest:
        if owner not in self._requests:
            self._requests[owner] = (request, now)
        return self.of(owner)


@broken
class WishIsAnswered(WorkerRequests):
    """The answer is the request of the call, not the one that holds."""

    def put(self, owner: str, request: WorkerRequest, now: float) -> WorkerRequest:
        super().put(owner, request, now)
        return request


@broken
class RequestsAreForAll(WorkerRequests):
    """A request is for all workers."""

    def of(self, owner: str) -> WorkerRequest:
        return next(
            reversed([request for request, _ in self._requests.values()]), WorkerRequest.RUN
        )


@broken
class SilentWorkersLoseTheirs(WorkerRequests):
    """Requests about workers that are not registered are forgotten at once."""

    def forget(self, living: Collection[str], now: float) -> None:
        self._requests = {owner: kept for owner, kept in self._requests.items() if owner in living}


@broken
class OldRequestsAreForgotten(WorkerRequests):
    """Requests about living workers are forgotten, too."""

    def forget(self, living: Collection[str], now: float) -> None:
        super().forget((), now)


@broken
class RequestsAreReadOnce(WorkerRequests):
    """A request is gone when it has been read."""

    def of(self, owner: str) -> WorkerRequest:
        found = super().of(owner)
        self._requests.pop(owner, None)
        return found
