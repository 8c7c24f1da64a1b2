"""WORKER_REQUESTS: operators ask workers to take nothing new, or to stop."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from asynctasq.message import Lease
from asynctasq.records import record

REQUEST_KEPT_SECONDS = 3600.0
"""Seconds for which a request is kept, at least, if its worker leaves the registry."""


class WorkerRequest(StrEnum):
    """A wish about a worker, which the worker reads from the store."""

    RUN = "run"
    """Take messages, as a worker does without a request."""
    QUIET = "quiet"
    """Take no new messages, and finish the running ones."""
    STOP = "stop"
    """Stop as after SIGTERM. No later request changes it."""


@record
class Requests:
    """All requests that concern one owner of leases."""

    cancels: Sequence[Lease]
    """Its leases whose messages are flagged, as `cancel_requests` returns them."""
    worker: WorkerRequest
    """The last request about the worker."""


@runtime_checkable
class SupportsWorkerRequests(Protocol):
    """WORKER_REQUESTS, beside WORKERS.

    A request is for one run of a worker, which is the owner of its leases: `WorkerInfo.owner`.
    """

    async def request_workers(
        self, ids: Sequence[str], request: WorkerRequest
    ) -> list[WorkerRequest | None]:
        """Request something of workers in the registry; answer in order with the requests that hold now.

        The answer is STOP for a worker that was asked to stop before, and None for one that is not in the
        registry, or whose record has no owner.
        """
        ...

    async def requests(self, owner: str) -> Requests:
        """Return the cancel requests of an owner and the request about its worker, in one round trip."""
        ...
