"""Events: batches in the order of their numbers, and until when there is a listener."""

from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities.events import (
    BATCH_BYTES_KEPT,
    BATCHES_KEPT,
    EVENTS_KEPT_FOR,
    EventPage,
)
from asynctasq.driverkit.events import (
    DROPPED_AT_ONCE,
    Stream,
    check_batch,
    hold_seconds,
    page_of,
    position_of,
    start_of,
)
from asynctasq.driverkit.times import micros

if TYPE_CHECKING:
    from asynctasq_redis.listener import Listener
    from asynctasq_redis.server import Server

_EXPIRES = round(EVENTS_KEPT_FOR * 1000) + 60_000
"""Milliseconds after which a batch that is not dropped expires."""


async def listening(server: "Server", offset: int) -> bool:
    """Return whether there is a listener, and drop some old batches."""
    kept = (micros(EVENTS_KEPT_FOR), BATCHES_KEPT, BATCH_BYTES_KEPT, DROPPED_AT_ONCE)
    return bool(await server.run("events_look", offset, *kept))


async def publish(server: "Server", offset: int, batch: bytes) -> None:
    """Add a batch, and notify listeners."""
    check_batch(batch)
    await server.run("publish", offset, batch, _EXPIRES)


async def read(
    server: "Server",
    listener: "Listener",
    offset: int,
    after: str | None,
    *,
    limit: int,
    timeout: float,
    hold: float,
) -> EventPage:
    """Return a page of batches, and wait for it."""
    given = None if after is None else position_of(after)
    number = -1 if given is None else given.number
    renewal: int | None = micros(hold_seconds(hold))
    stream: Stream | None = None
    rows: list[tuple[int, bytes]] = []

    async def look(instance: str = "") -> float:
        nonlocal stream, rows, renewal
        held = -1 if renewal is None else renewal
        answer = await server.run("events", offset, held, number, limit, instance)
        renewal = None
        if stream is None:
            stream = Stream(*map(int, answer[:4]))
        rows = [(int(each), data) for each, data in zip(answer[4::2], answer[5::2], strict=True)]
        return 0.0 if rows else float("inf")

    await look()
    assert stream is not None
    start = start_of(after, stream)
    page = page_of(rows, start=start, stream=stream, limit=limit)
    if rows or page.gap or after is None or limit <= 0 or timeout <= 0.0:
        return page
    number = start.number
    await listener.wait_for_events(lambda: look(listener.instance), timeout)
    if not rows:
        await look()
    return page_of(rows, start=start, stream=stream, limit=limit)
