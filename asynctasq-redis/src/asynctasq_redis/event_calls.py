"""The calls of `SupportsEvents` of the Redis driver."""

from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities.events import LISTENING_SECONDS, EventPage
from asynctasq_redis import events

if TYPE_CHECKING:
    from asynctasq_redis.listener import Listener
    from asynctasq_redis.server import Server


class EventCalls:
    """Batches of events, and who listens."""

    _offset: int

    def _opened(self) -> "Server":
        raise NotImplementedError

    def _listening(self) -> "Listener":
        raise NotImplementedError

    async def listening(self) -> bool:
        return await events.listening(self._opened(), self._offset)

    async def publish(self, batch: bytes, count: int) -> None:
        del count
        await events.publish(self._opened(), self._offset, batch)

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        server, listener = self._opened(), self._listening()
        return await events.read(
            server, listener, self._offset, after, limit=limit, timeout=timeout, hold=hold
        )
