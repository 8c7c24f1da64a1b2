"""Pipelines: connections that redis-py has made, without its streams.

redis-py connects and authenticates once (TLS, credentials, sentinels). Its streams, tasks and timeouts
would cost most of the time of every round trip.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import hiredis
import redis.exceptions as client
from redis.asyncio.connection import DefaultParser

from asynctasq_redis.errors import Closed
from asynctasq_redis.wires import Wire, WireMaker, drop_wire, end_wire, transport_of

CLOSE_SECONDS = 1.0
"""Seconds that the loop may take to report the end of a connection."""

_parse_error: Callable[[str], Exception] = cast("Any", DefaultParser).parse_error


class Pipeline(asyncio.Protocol):
    """A connection with one call under way at a time. It also receives messages that the server pushes."""

    def __init__(self, wire: Wire) -> None:
        """Take over an established connection."""
        self.wire = wire
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        self.on_push: Callable[[object], None] | None = None
        """Called with each message that the server pushes."""
        self._reader = hiredis.Reader(
            protocolError=client.InvalidResponse,
            replyError=_parse_error,
        )
        self._answers: list[Any] = []
        self._missing = 0
        self._asked: asyncio.Future[list[Any]] | None = None
        self._transport = transport_of(wire)
        self._transport.set_protocol(self)

    def send(self, packed: bytes) -> None:
        """Send a command whose answer goes to `on_push`."""
        self._transport.write(packed)

    async def ask(self, packed: bytes, expected: int, timeout: float) -> list[Any]:
        """Send commands, and return their answers, which may be errors.

        Raises:
            ConnectionError: the connection has ended (this is the class of redis-py).
            Closed: the driver has closed the connection.
            TimeoutError: no answer arrived within `timeout` seconds.
        """
        if self.lost.done():
            raise client.ConnectionError("Connection closed by server.")
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[list[Any]] = loop.create_future()
        self._asked = asked
        self._answers, self._missing = [], expected
        timer = loop.call_later(timeout, self._fail, TimeoutError(f"no answer for {timeout} s"))
        try:
            self._transport.write(packed)
            return await asked
        finally:
            timer.cancel()
            self._asked = None

    def data_received(self, data: bytes) -> None:
        """Process bytes that have arrived. The loop calls this."""
        reader = self._reader
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not False:
                self._take(answer)
        except client.InvalidResponse as error:
            self._fail(error)
            self._transport.abort()

    def _take(self, answer: object) -> None:
        if self._missing:
            self._answers.append(answer)
            self._missing -= 1
            if not self._missing and self._asked is not None and not self._asked.done():
                self._asked.set_result(self._answers)
        elif self.on_push is not None:
            self.on_push(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call that is under way. The loop calls this."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._fail(client.ConnectionError(f"Connection lost: {exc or 'closed by server'}."))

    def _fail(self, error: Exception) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)

    async def close(self) -> None:
        """Close it at once, even if this is cancelled, without the shutdown of TLS, which takes long."""
        self._fail(Closed())
        end_wire(self.wire)
        await asyncio.wait([self.lost], timeout=CLOSE_SECONDS)

    def drop(self) -> None:
        """Close the socket of a loop that is closed."""
        drop_wire(self.wire)


async def new_pipeline(maker: WireMaker) -> Pipeline:
    """Connect, and return a connection that the caller closes. A failure leaves nothing open."""
    wire = maker.make()
    try:
        await wire.connect()
        return Pipeline(wire)
    except BaseException:
        await wire.disconnect(nowait=True)
        raise
