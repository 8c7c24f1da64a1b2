"""Events: batches in the order of their commits, until when there is a listener, and the wait for more."""

from collections.abc import Sequence

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
from asynctasq.driverkit.sql import check_version
from asynctasq.driverkit.times import micros
from asynctasq_postgres.opened import Opened
from asynctasq_postgres.queries import event_queries
from asynctasq_postgres.server import Row

VERSION = 6
"""The version of the tables that have a place for these. With older tables, there is no listener."""
_BOUNDS = (micros(EVENTS_KEPT_FOR), BATCHES_KEPT, BATCH_BYTES_KEPT)


async def listening(opened: Opened) -> bool:
    """Return whether there is a listener, and drop some old batches."""
    if opened.version < VERSION:
        return False
    place = (opened.server.settings.namespace, opened.server.shift, *_BOUNDS)
    [(is_heard, has_old)] = await _call(opened, "look", *place)
    if has_old:
        await _call(opened, "drop", *place, DROPPED_AT_ONCE)
    return bool(is_heard)


async def publish(opened: Opened, batch: bytes) -> None:
    """Add a batch, and notify listeners."""
    check_batch(batch)
    _check_version(opened)
    server = opened.server
    [(namespace,)] = await _call(opened, "publish", server.settings.namespace, server.shift, batch)
    opened.doorbell.tell_listeners(namespace)


async def read(
    opened: Opened, after: str | None, *, limit: int, timeout: float, hold: float
) -> EventPage:
    """Return a page of batches, and wait for it."""
    _check_version(opened)
    server = opened.server
    [(namespace, *state)] = await _call(
        opened, "listen", server.settings.namespace, server.shift, micros(hold_seconds(hold))
    )
    stream = Stream(*state)
    start = start_of(after, stream)
    rows: Sequence[tuple[int, bytes]] = ()

    async def look() -> bool:
        nonlocal rows
        rows = await _batches(opened, namespace, start, limit)
        return bool(rows)

    if after is not None and limit > 0:
        await look()
        if (
            not rows
            and timeout > 0.0
            and not page_of((), start=start, stream=stream, limit=limit).gap
        ):
            await opened.listener.wait_for_events(namespace, look, timeout)
            if not rows:
                await look()
    return page_of(rows, start=start, stream=stream, limit=limit)


async def _batches(
    opened: Opened, namespace: int, start: Position, limit: int
) -> list[tuple[int, bytes]]:
    found = await _call(opened, "batches", namespace, start.number, limit, BYTES_AT_ONCE)
    return [(row[0], row[1]) for row in found]


async def _call(opened: Opened, name: str, *parameters: object) -> list[Row]:
    return await opened.server.execute(event_queries(opened.server.names)[name], *parameters)


def _check_version(opened: Opened) -> None:
    place = f"The PostgreSQL at {opened.server.place}"
    check_version(place, opened.version, VERSION, purpose="pass events on")
