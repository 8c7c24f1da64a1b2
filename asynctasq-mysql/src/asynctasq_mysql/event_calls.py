"""The methods of EVENTS."""

from abc import ABC, abstractmethod

from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, EventPage
from asynctasq.driverkit.sql import check_version
from asynctasq_mysql import events
from asynctasq_mysql.store import Store


class EventCalls(ABC):
    """The part of the driver that passes events on to listeners."""

    description: str

    @abstractmethod
    def _opened(self) -> Store: ...

    async def listening(self) -> bool:
        store = self._opened()
        return store.version >= events.VERSION and await events.listening(store)

    async def publish(self, batch: bytes, count: int) -> None:
        del count
        await events.publish(self._store_of_events(), batch)

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        store = self._store_of_events()
        return await events.read(store, after, limit=limit, timeout=timeout, hold=hold)

    def _store_of_events(self) -> Store:
        store = self._opened()
        check_version(
            f"The database at {self.description}",
            store.version,
            events.VERSION,
            purpose="pass events on",
        )
        return store
