"""A connection to a broker: the greeting, heartbeats, frames, and the end."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from typing import TypeVar

from pamqp import base, commands
from pamqp.common import FieldTable
from pamqp.exceptions import PAMQPException
from pamqp.frame import marshal, unmarshal

from asynctasq.records import record
from asynctasq_rabbitmq.wire import frames
from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost

GREETING = b"AMQP\x00\x00\x09\x01"
FRAME_MAX = 131_072
CHANNELS = 2047
CAPABILITIES: Mapping[str, bool] = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}
_LARGEST_WRITE = 1 << 20
F = TypeVar("F", bound=base.Frame)


@record
class Endpoint:
    """A broker, and how to log in."""

    host: str
    port: int
    username: str
    password: str
    virtual_host: str
    tls: ssl.SSLContext | None
    heartbeat: int
    """Seconds after which a silent connection counts as lost."""
    name: str
    """Name of the connection, which the management page of the broker shows."""
    connect_timeout: float
    timeout: float


class Connection(asyncio.Protocol):
    """One connection. `connect` opens it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.loop = asyncio.get_running_loop()
        self.frame_max = FRAME_MAX
        self.server: FieldTable = {}
        """Properties of the broker, such as its version."""
        self.blocked = ""
        """The reason why the broker reads nothing from publishers; empty if it does."""
        self.error: ConnectionLost | None = None
        self.on_closed: list[Callable[[], None]] = []
        self._endpoint = endpoint
        self._channels: dict[int, Channel] = {}
        self._numbers = 0
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._methods: asyncio.Queue[base.Frame | ConnectionLost] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._heartbeat = 0.0
        self._heard_at = self.loop.time()
        self._wrote_at = self.loop.time()

    @classmethod
    async def connect(cls, endpoint: Endpoint) -> "Connection":
        """Return an open connection.

        Raises:
            ConnectionLost: the broker cannot be reached, or refuses the login.
        """
        connection = cls(endpoint)
        loop = connection.loop
        try:
            async with asyncio.timeout(endpoint.connect_timeout):
                await loop.create_connection(
                    lambda: connection, endpoint.host, endpoint.port, ssl=endpoint.tls
                )
                await connection._greet()
        except TimeoutError:
            connection.abort("the broker did not answer in time")
            raise ConnectionLost("the broker did not answer in time") from None
        except OSError as error:
            connection.abort(str(error))
            raise ConnectionLost(str(error) or type(error).__name__) from error
        except BaseException:
            connection.abort("the connection could not be opened")
            raise
        return connection

    @property
    def is_open(self) -> bool:
        """True until the connection ends."""
        return self.error is None

    async def channel(self) -> Channel:
        """Open a channel."""
        if self.error is not None:
            raise self.error
        self._numbers = next(
            number
            for number in (*range(self._numbers + 1, CHANNELS), *range(1, CHANNELS))
            if number not in self._channels
        )
        channel = self._channels[self._numbers] = Channel(self, self._numbers)
        await channel.call(commands.Channel.Open(), commands.Channel.OpenOk)
        return channel

    async def close(self) -> None:
        """Close the connection in order, or drop it if the broker does not answer."""
        if self.error is None:
            self.send(0, commands.Connection.Close(200, "closed", 0, 0))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), 2.0)
        self.abort("the connection was closed")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), 2.0)

    def abort(self, reason: str) -> None:
        """Drop the connection."""
        self._end(ConnectionLost(reason))
        if self._transport is not None:
            self._transport.abort()

    # Writing.

    def write(self, data: bytes) -> None:
        """Write encoded frames."""
        if self._transport is not None and self.error is None:
            self._wrote_at = self.loop.time()
            self._transport.write(data)

    def send(self, channel: int, method: base.Frame) -> None:
        """Write a method."""
        self.write(marshal(method, channel))

    async def drain(self, timeout: float) -> bool:
        """Wait until the connection takes more data; return False if it does not in time."""
        if self._writable.is_set():
            return True
        try:
            await asyncio.wait_for(self._writable.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def answer(
        self, answer: "asyncio.Future[base.Frame]", timeout: float | None = None
    ) -> base.Frame:
        """Return the answer of the broker. Drop the connection if there is none in time."""
        try:
            async with asyncio.timeout(self._endpoint.timeout if timeout is None else timeout):
                return await asyncio.shield(answer)
        except TimeoutError:
            text = self.blocked or "the broker did not answer in time"
            if not self.blocked:
                self.abort(text)
            raise ConnectionLost(text) from None

    @staticmethod
    def decode(payload: bytes) -> base.Frame:
        """Return the method of a payload."""
        head = frames.HEAD.pack(frames.METHOD, 1, len(payload))
        method = unmarshal(head + payload + frames.END_BYTE)[2]
        assert isinstance(method, base.Frame)
        return method

    # The greeting.

    async def _greet(self) -> None:
        self.write(GREETING)
        start = await self._next(commands.Connection.Start)
        self.server = start.server_properties
        endpoint = self._endpoint
        self.send(
            0,
            commands.Connection.StartOk(
                {
                    "product": "asynctasq",
                    "platform": "Python",
                    "connection_name": endpoint.name,
                    "capabilities": dict(CAPABILITIES),
                },
                "PLAIN",
                f"\0{endpoint.username}\0{endpoint.password}",
                "en_US",
            ),
        )
        tune = await self._next(commands.Connection.Tune)
        self.frame_max = min(tune.frame_max or FRAME_MAX, FRAME_MAX)
        beat = endpoint.heartbeat
        self.send(
            0,
            commands.Connection.TuneOk(
                min(tune.channel_max or CHANNELS, CHANNELS), self.frame_max, beat
            ),
        )
        self.send(0, commands.Connection.Open(endpoint.virtual_host))
        await self._next(commands.Connection.OpenOk)
        self._heartbeat = float(beat)
        self._heard_at = self.loop.time()
        if beat:
            self._watch()

    async def _next(self, kind: type[F]) -> F:
        method = await self._methods.get()
        if isinstance(method, ConnectionLost):
            raise method
        if not isinstance(method, kind):
            raise ConnectionLost(f"got {method.name} where {kind.name} was due")
        return method

    def _watch(self) -> None:
        """Send heartbeats, and drop a connection that has been silent for too long."""
        now = self.loop.time()
        late = self._beat is not None and now > self._beat.when() + self._heartbeat
        if now - self._heard_at > 2 * self._heartbeat and not late:
            self.abort("no heartbeat of the broker arrived")
            return
        if now - self._wrote_at >= self._heartbeat / 3:
            self.write(frames.HEARTBEAT_FRAME)
        self._beat = self.loop.call_later(self._heartbeat / 3, self._watch)

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_LARGEST_WRITE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end(ConnectionLost(str(exc) if exc else "the broker closed the connection"))
        self._closed.set()

    def pause_writing(self) -> None:
        """Note that the connection takes no more data."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the connection takes data again."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete."""
        self._heard_at = self.loop.time()
        buffer = self._data
        if buffer:
            buffer += data
            data = bytes(buffer)
        place, end = 0, len(data)
        head = frames.HEAD.unpack_from
        try:
            while end - place >= frames.OVERHEAD:
                kind, number, size = head(data, place)
                begin = place + frames.HEAD.size
                if begin + size >= end:
                    break
                if data[begin + size] != frames.END:
                    self.abort("the broker sent a frame without an end")
                    return
                self._received(kind, number, data[begin : begin + size])
                place = begin + size + 1
        except (PAMQPException, ValueError, IndexError) as error:
            self.abort(f"the broker sent data that is not AMQP 0-9-1: {error}")
            return
        self._data = bytearray(data[place:])

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        if number == 0:
            if kind == frames.METHOD:
                self._received_method(self.decode(payload))
            return
        channel = self._channels.get(number)
        if channel is None:
            return
        if kind == frames.METHOD:
            channel.received_method(payload)
        elif kind == frames.HEADER:
            channel.received_header(payload)
        elif kind == frames.BODY:
            channel.received_body(payload)

    def _received_method(self, method: base.Frame) -> None:
        if isinstance(method, commands.Connection.Close):
            self.send(0, commands.Connection.CloseOk())
            self._end(ConnectionLost(method.reply_text, method.reply_code or 0))
            if self._transport is not None:
                self._transport.close()
        elif isinstance(method, commands.Connection.CloseOk):
            if self._transport is not None:
                self._transport.close()
        elif isinstance(method, commands.Connection.Blocked):
            self.blocked = f"the broker takes no messages now: {method.reason}"
        elif isinstance(method, commands.Connection.Unblocked):
            self.blocked = ""
        else:
            self._methods.put_nowait(method)

    def forget(self, number: int) -> None:
        """Forget a channel that is closed."""
        self._channels.pop(number, None)

    def _end(self, error: ConnectionLost) -> None:
        if self.error is not None:
            return
        self.error = error
        if self._beat is not None:
            self._beat.cancel()
        self._writable.set()
        self._methods.put_nowait(error)
        for channel in list(self._channels.values()):
            channel.end(error)
        for callback in self.on_closed:
            callback()


__all__ = ["ChannelClosed", "Connection", "Endpoint"]
