"""The methods of EVENTS."""

from abc import ABC, abstractmethod

from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, EventPage
from asynctasq_postgres import events
from asynctasq_postgres.opened import Opened


class EventCalls(ABC):
    """The part of the driver that passes events on to listeners."""

    @abstractmethod
    def _opened(self) -> Opened: ...

    async def listening(self) -> bool:
        return await events.listening(self._opened())

    async def publish(self, batch: bytes, count: int) -> None:
        del count
        await events.publish(self._opened(), batch)

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        return await events.read(self._opened(), after, limit=limit, timeout=timeout, hold=hold)
