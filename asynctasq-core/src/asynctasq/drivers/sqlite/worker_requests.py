"""Requests of operators about workers."""

from collections.abc import Sequence

import orjson

from asynctasq.contracts.capabilities.worker_requests import (
    REQUEST_KEPT_SECONDS,
    Requests,
    WorkerRequest,
)
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import REQUEST_NUMBERS, owners_of, request_of
from asynctasq.drivers.sqlite.inspection import Workers
from asynctasq.drivers.sqlite.leasing import CancelRequests
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Session
from asynctasq.records import record

_SQL = queries("inspect")


def _request_about(session: Session, owner: str) -> WorkerRequest:
    rows = session.rows(_SQL["worker_request"], {"owner": owner})
    return request_of(rows[0][0]) if rows else WorkerRequest.RUN


@record
class RequestWorkers:
    """The operation behind `SupportsWorkerRequests.request_workers`."""

    ids: Sequence[str]
    request: WorkerRequest

    def __call__(self, session: Session) -> list[WorkerRequest | None]:
        workers = Workers()(session)
        living = orjson.dumps([each.owner for each in workers]).decode()
        before = session.now - micros(REQUEST_KEPT_SECONDS)
        session.run(_SQL["forget_requests"], {"before": before, "living": living})
        answers: list[WorkerRequest | None] = []
        for owner in owners_of(workers, self.ids):
            if not owner:
                answers.append(None)
                continue
            number = REQUEST_NUMBERS[self.request]
            session.run(_SQL["request_worker"], {"owner": owner, "request": number})
            answers.append(_request_about(session, owner))
        return answers


@record
class ReadRequests:
    """The operation behind `SupportsWorkerRequests.requests`."""

    owner: str

    def __call__(self, session: Session) -> Requests:
        return Requests(CancelRequests(self.owner)(session), _request_about(session, self.owner))
