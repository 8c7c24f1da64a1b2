"""Lines: connections that redis-py has made, and that are read here without its streams.

What it does to be let in (TLS, credentials, sentinels) happens once. Its streams, tasks and time-outs
cost most of a round trip, every time.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import hiredis
import redis.exceptions as client
from redis.asyncio.connection import DefaultParser

from asynctasq_redis.connecting import Wire, WireMaker, drop_wire, end_wire, transport_of
from asynctasq_redis.errors import Closed

CLOSE_SECONDS = 1.0
"""How long the loop may take to hear that a connection has been ended."""

_parse_error: Callable[[str], Exception] = cast("Any", DefaultParser).parse_error


class Line(asyncio.Protocol):
    """A connection on which one call is under way at a time, and what is pushed besides is heard."""

    def __init__(self, wire: Wire) -> None:
        """Take over a connection that is connected."""
        self.wire = wire
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        self.heard: Callable[[object], None] | None = None
        """Called with what nobody has asked for."""
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
        """Send a command whose answer is for `heard`."""
        self._transport.write(packed)

    async def ask(self, packed: bytes, expected: int, timeout: float) -> list[Any]:
        """Send commands, and return their answers, errors among them.

        Raises:
            ConnectionError: of redis-py; the connection has ended.
            Closed: we have ended it.
            TimeoutError: no answer has come for `timeout` seconds.
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
        """Called by the loop."""
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
        elif self.heard is not None:
            self.heard(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._fail(client.ConnectionError(f"Connection lost: {exc or 'closed by server'}."))

    def _fail(self, error: Exception) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)

    async def close(self) -> None:
        """End it, at once, even where this is cancelled: farewells of TLS take their time."""
        self._fail(Closed())
        end_wire(self.wire)
        await asyncio.wait([self.lost], timeout=CLOSE_SECONDS)

    def drop(self) -> None:
        """Close what can be closed where the loop is gone."""
        drop_wire(self.wire)


async def new_line(maker: WireMaker) -> Line:
    """A connection, which the caller closes; nothing is left open where it fails."""
    wire = maker.make()
    try:
        await wire.connect()
        return Line(wire)
    except BaseException:
        await wire.disconnect(nowait=True)
        raise
