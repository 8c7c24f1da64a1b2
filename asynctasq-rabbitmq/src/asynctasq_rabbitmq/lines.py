"""A connection that is opened when it is needed, and opened again after it was lost."""

import asyncio
from collections.abc import Callable

from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.connection import Connection, Endpoint


class Line:
    """A connection and its channels, one for each purpose.

    Nothing recovers in the background. A lost connection or a closed channel is noticed by the call that uses it,
    and the next call opens another.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.on_lost: list[Callable[[], None]] = []
        """Called when a connection was lost."""
        self._connection: Connection | None = None
        self._channels: dict[str, Channel] = {}
        self._opening = asyncio.Lock()
        self._is_closed = False

    @property
    def blocked(self) -> str:
        """The reason why the broker accepts no messages now; empty if it does."""
        return "" if self._connection is None else self._connection.blocked

    async def connection(self) -> Connection:
        """Return the connection, opened.

        Raises:
            ConnectionLost: the broker cannot be reached, or refuses the login.
        """
        found = self._connection
        if found is not None and found.is_open:
            return found
        async with self._opening:
            if self._connection is None or not self._connection.is_open:
                self._channels.clear()
                opened = await Connection.connect(self.endpoint)
                opened.on_closed.append(self._lost)
                self._connection = opened
            return self._connection

    async def channel(self, purpose: str, *, confirms: bool = False) -> Channel:
        """Return the channel for a purpose, opened.

        Raises:
            ConnectionLost: the broker cannot be reached.
        """
        found = self._channels.get(purpose)
        if found is not None and found.is_open:
            return found
        connection = await self.connection()
        async with self._opening:
            found = self._channels.get(purpose)
            if found is None or not found.is_open:
                found = await connection.channel()
                if confirms:
                    await found.confirm()
                self._channels[purpose] = found
            return found

    def _lost(self) -> None:
        if not self._is_closed:
            for callback in self.on_lost:
                callback()

    async def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        if self._connection is not None:
            await self._connection.close()
