"""Events: batches in the order of their commits, and until when there is a listener."""

import asyncio
from functools import partial

from asynctasq.contracts.capabilities.events import (
    BATCH_BYTES_KEPT,
    BATCHES_KEPT,
    EVENTS_KEPT_FOR,
    EventPage,
)
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.events import (
    DROPPED_AT_ONCE,
    Position,
    Stream,
    check_batch,
    hold_seconds,
    page_of,
    start_of,
)
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

VERSION = 6
"""The version of the tables that have a place for these. With older tables, there is no listener."""
POLL_SECONDS = 0.1
"""Pause between two looks for events, which are published as often."""


async def listening(store: Store) -> bool:
    """Return whether there is a listener, and drop some old batches."""
    sql = store.sql.events
    bounds = {
        "namespace": store.namespace,
        "kept_for": micros(EVENTS_KEPT_FOR),
        "most": BATCHES_KEPT,
        "bytes": BATCH_BYTES_KEPT,
    }
    [[(is_heard, has_old)]] = await store.run(sql["look"](store.offset, **bounds))
    if has_old:
        await store.run(sql["drop"](store.offset, bound=DROPPED_AT_ONCE, **bounds))
    return bool(is_heard)


async def publish(store: Store, batch: bytes) -> None:
    """Add a batch."""
    check_batch(batch)
    if len(batch) > store.largest:
        raise DriverError(
            f"A batch of events must have at most {store.largest:,} bytes, got {len(batch):,}. Raise "
            f"max_allowed_packet of the server."
        )
    await store.transact(partial(_publish_steps, store, batch))


def _publish_steps(store: Store, batch: bytes) -> Steps[None]:
    sql, space = store.sql.events, {"namespace": store.namespace}
    yield Script(
        [
            sql["begin"](bytes=len(batch), **space),
            sql["publish"](store.offset, data=batch, **space),
        ],
        is_last=True,
    )


async def read(
    store: Store, after: str | None, *, limit: int, timeout: float, hold: float
) -> EventPage:
    """Return a page of batches, and wait for it."""
    sql, space = store.sql.events, {"namespace": store.namespace}
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    listen = sql["listen"](store.offset, hold=micros(hold_seconds(hold)), **space)
    _, [state] = await store.run(listen, sql["stream"](**space))
    stream = Stream(*map(int, state))
    start = start_of(after, stream)
    while True:
        rows = await _batches(store, start, limit) if after is not None and limit > 0 else []
        page = page_of(rows, start=start, stream=stream, limit=limit)
        left = end - loop.time()
        if rows or page.gap or after is None or limit <= 0 or left <= 0.0:
            return page
        await asyncio.sleep(min(left, POLL_SECONDS))


async def _batches(store: Store, start: Position, limit: int) -> list[tuple[int, bytes]]:
    text = store.sql.events["batches"](
        namespace=store.namespace, n=start.number, limit=limit, room=BYTES_AT_ONCE
    )
    [rows] = await store.run(text)
    return [
        (int(number), data if isinstance(data, bytes) else str(data).encode())
        for number, data in rows
    ]
