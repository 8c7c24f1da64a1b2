"""Functions that drivers share for requests about workers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest

REQUEST_NUMBERS: Mapping[WorkerRequest, int] = {
    WorkerRequest.RUN: 0,
    WorkerRequest.QUIET: 1,
    WorkerRequest.STOP: 2,
}
"""Numbers of requests in stores. The greatest one stays."""
_REQUESTS = {number: request for request, number in REQUEST_NUMBERS.items()}
_WORKER_FIELDS = frozenset(each.name for each in fields(WorkerInfo))


def request_of(number: object) -> WorkerRequest:
    """Return the request with this number. What is not known, or damaged, requests nothing."""
    return (
        _REQUESTS.get(number, WorkerRequest.RUN) if isinstance(number, int) else WorkerRequest.RUN
    )


def owners_of(workers: Iterable[WorkerInfo], ids: Sequence[str]) -> list[str]:
    """Return the owner of each worker, in order; an empty text if it is not known."""
    owners: dict[str, object] = {worker.id: worker.owner for worker in workers}
    found = [owners.get(each) for each in ids]
    return [owner if isinstance(owner, str) else "" for owner in found]  # a record may be damaged


def worker_of(stored: Mapping[str, Any]) -> WorkerInfo:
    """Return a worker from its stored fields, without those of later releases.

    Raises:
        TypeError: a field is missing.
    """
    known = {name: value for name, value in stored.items() if name in _WORKER_FIELDS}
    known |= {name: tuple(known.get(name, ())) for name in ("queues", "tasks")}
    return WorkerInfo(**known)
