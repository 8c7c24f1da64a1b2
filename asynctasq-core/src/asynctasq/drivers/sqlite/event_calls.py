"""The calls of `SupportsEvents` of the sqlite driver."""

import asyncio
from typing import TypeVar

from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, EventPage
from asynctasq.driverkit.events import check_batch
from asynctasq.drivers.sqlite import events
from asynctasq.drivers.sqlite.requests import Operation

T = TypeVar("T")

POLL_SECONDS = 0.1
"""Pause between two looks for events, which are published as often."""


class EventCalls:
    """Batches of events, and who listens."""

    async def _write_unsynced(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _read(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def listening(self) -> bool:
        is_heard, has_old = await self._read(events.look)
        if has_old:
            await self._write_unsynced(events.drop)
        return is_heard

    async def publish(self, batch: bytes, count: int) -> None:
        del count
        check_batch(batch)
        await self._write_unsynced(events.Publish(batch))

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        start, page = await self._write_unsynced(events.Listen(after, limit, hold))
        while after is not None and limit > 0 and not (page.batches or page.gap):
            left = end - loop.time()
            if left <= 0.0:
                break
            await asyncio.sleep(min(left, POLL_SECONDS))
            page = await self._read(events.Page(start, limit))
        return page
