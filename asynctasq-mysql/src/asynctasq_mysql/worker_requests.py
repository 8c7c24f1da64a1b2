"""Requests of operators about workers."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.worker_requests import (
    REQUEST_KEPT_SECONDS,
    Requests,
    WorkerRequest,
)
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.worker_requests import REQUEST_NUMBERS, owners_of, request_of
from asynctasq.message import Lease
from asynctasq_mysql import inspection, leasing
from asynctasq_mysql.rows import as_bytes
from asynctasq_mysql.statements import clock, in_list, value_rows
from asynctasq_mysql.store import Store, name_bytes

VERSION = 5
"""The version of the tables that have a place for requests."""


async def request_workers(
    store: Store, ids: Sequence[str], request: WorkerRequest
) -> list[WorkerRequest | None]:
    """Keep a request for each worker that is registered, and return the requests that hold."""
    workers = await inspection.workers(store)
    owners = owners_of(workers, ids)
    named = sorted({name_bytes(owner) for owner in owners if owner})
    if not named:
        return [None] * len(owners)
    number, sql = REQUEST_NUMBERS[request], store.sql.inspect
    rows = [(store.namespace, owner, number, clock(store.offset)) for owner in named]
    _, _, held = await store.run(
        sql["request_workers"](store.offset, rows=value_rows(rows), request=number),
        sql["forget_requests"](
            store.offset,
            namespace=store.namespace,
            kept=micros(REQUEST_KEPT_SECONDS),
            living=in_list(name_bytes(each.owner) for each in workers),
        ),
        sql["worker_requests"](namespace=store.namespace, owners=in_list(named)),
    )
    found = {as_bytes(owner): request_of(number) for owner, number in held}
    return [found.get(name_bytes(owner)) if owner else None for owner in owners]


async def requests(store: Store, owner: str) -> Requests:
    """Return the flagged leases of an owner, and the request about its worker."""
    if store.version < VERSION:
        return Requests(await leasing.cancel_requests(store, owner), WorkerRequest.RUN)
    name = name_bytes(owner)
    flagged, held = await store.run(
        store.sql.lease["flagged"](namespace=store.namespace, owner=name),
        store.sql.inspect["worker_requests"](namespace=store.namespace, owners=in_list([name])),
    )
    return Requests(
        [Lease(bytes(row[0]), row[1]) for row in flagged],
        request_of(held[0][1]) if held else WorkerRequest.RUN,
    )
