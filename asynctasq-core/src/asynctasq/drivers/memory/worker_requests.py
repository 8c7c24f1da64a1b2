"""Requests of operators about workers."""

from collections.abc import Collection

from asynctasq.contracts.capabilities.worker_requests import REQUEST_KEPT_SECONDS, WorkerRequest


class WorkerRequests:
    """The last request about each owner of leases."""

    def __init__(self) -> None:
        self._requests: dict[str, tuple[WorkerRequest, float]] = {}

    def put(self, owner: str, request: WorkerRequest, now: float) -> WorkerRequest:
        """Keep a request, and return the one that holds now."""
        if self.of(owner) is not WorkerRequest.STOP:
            self._requests[owner] = (request, now)
        return self.of(owner)

    def of(self, owner: str) -> WorkerRequest:
        """Return the request about an owner."""
        found = self._requests.get(owner)
        return WorkerRequest.RUN if found is None else found[0]

    def forget(self, living: Collection[str], now: float) -> None:
        """Forget old requests about owners that are not registered any more."""
        self._requests = {
            owner: (request, at)
            for owner, (request, at) in self._requests.items()
            if owner in living or now - at < REQUEST_KEPT_SECONDS
        }
