"""The calls of `SupportsEvents` of the memory driver."""

import asyncio

from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, EventPage
from asynctasq.drivers.memory.brokered import StateStore

EVENTS = "events"
"""The topic of waiting listeners."""


class EventCalls:
    """Batches of events, and who listens."""

    _open: bool

    def _opened(self) -> StateStore:
        raise NotImplementedError

    async def listening(self) -> bool:
        store = self._opened()
        with store.lock:
            return store.events.listening(store.now())

    async def publish(self, batch: bytes, count: int) -> None:
        del count
        store = self._opened()
        with store.lock:
            store.events.publish(batch, store.now())
            store.waiting_for_events.wake(EVENTS)

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        store = self._opened()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with store.lock:
            store.events.listen(hold, store.now())
            start = store.events.start(after)
        while True:
            with store.lock:
                page = store.events.page(start, limit)
                left = end - loop.time()
                if page.batches or page.gap or after is None or limit <= 0 or left <= 0.0:
                    return page
                waiter = store.waiting_for_events.add([EVENTS])
            try:
                await waiter.sleep(left)
            finally:
                with store.lock:
                    store.waiting_for_events.discard(waiter)
            if not self._open:
                return page
