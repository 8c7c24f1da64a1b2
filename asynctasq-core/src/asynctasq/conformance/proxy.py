"""A connection to a server that fails on request."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

CHUNK_BYTES = 65_536
UNDER_WAY_MOST = 256
"""Chunks in one direction of a connection; more are left to the sender."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST instead of FIN."""


class TcpProxy:
    """Passes bytes between clients and a server, and fails as networks do.

        with TcpProxy("redis://127.0.0.1:6379/0") as proxy:
            driver = RedisDriver(proxy.url)
            ...
            proxy.cut()

    It runs in a thread of its own, so that clients of every kind may use it, and every method may be
    called from anywhere; what it does has happened when it returns.
    """

    def __init__(self, target: str) -> None:
        """Make a proxy; `with` starts it.

        Args:
            target: `host:port`, or a URL with a port.

        Raises:
            ValueError: there is no port in it.
        """
        self._target = target
        parts = urlsplit(target if "://" in target else f"//{target}")
        if parts.port is None:
            raise ValueError(f"{target!r} names no port.")
        self._server_address = (parts.hostname or "127.0.0.1", parts.port)
        self.host = "127.0.0.1"
        self.port = 0
        self._delay = 0.0
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="asynctasq-proxy", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self._passing.set()
        self._call(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """`host:port` of the proxy."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The target with the address of the proxy in place of the server's."""
        if "://" not in self._target:
            return self.address
        parts = urlsplit(self._target)
        before, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{before}{at}{self.address}"))

    @property
    def connections(self) -> int:
        """Number of open connections through the proxy."""
        return len(self._connections)

    @property
    def delay(self) -> float:
        """Seconds that every piece of data takes, in either direction; may be set at any time.

        As on a long line, the next may follow meanwhile.
        """
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._delay = seconds

    def cut(self) -> None:
        """Close all connections in order, so that both sides notice. New ones are accepted."""
        self._call(self._end_all(reset=False))

    def reset(self) -> None:
        """End all connections with RST, as a machine that has restarted does. New ones are accepted."""
        self._call(self._end_all(reset=True))

    def freeze(self) -> None:
        """Stop passing data without closing connections, as if a cable were pulled: they are half open.

        New ones are accepted, and nothing passes them either.
        """
        self._call(self._do(self._passing.clear))

    def thaw(self) -> None:
        """Pass data again, beginning with the bytes that arrived meanwhile."""
        self._call(self._do(self._passing.set))

    def refuse(self) -> None:
        """End all connections and refuse new ones, as when no server runs."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Accept connections again, after `refuse`."""
        self._call(self._listen())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # In the proxy's thread.

    async def _do(self, action: Callable[[], object]) -> None:
        action()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._end_all(reset=False)

    async def _close(self) -> None:
        await self._refuse()
        self._passing.set()

    async def _end_all(self, *, reset: bool) -> None:
        ending = [connection.end(reset=reset) for connection in self._connections]
        await asyncio.gather(*ending)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections.add(connection)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._passing.wait()
                there, back = await asyncio.open_connection(*self._server_address)
                connection.writers.append(back)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._pump(reader, back))
                        group.create_task(self._pump(there, writer))
                except* OSError:
                    pass  # one side was reset, so the other one is closed, too
        finally:
            connection.drop()
            self._connections.discard(connection)
            connection.ended.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass data on until one side closes the connection."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY_MOST)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive(reader, under_way))
            group.create_task(self._pass_on(under_way, writer))

    async def _receive(
        self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Chunks with the loop's time at which they arrive; an empty one at the end."""
        while True:
            data = await reader.read(CHUNK_BYTES)
            await under_way.put((self._loop.time() + self._delay, data))
            if not data:
                return

    async def _pass_on(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            arrives_at, data = await under_way.get()
            if (left := arrives_at - self._loop.time()) > 0:
                await asyncio.sleep(left)
            await self._passing.wait()
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Connection:
    """A client and its server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.writers = [client]
        self.ended = asyncio.Event()
        self._task = asyncio.current_task()

    async def end(self, *, reset: bool) -> None:
        """End it; returns when it has ended."""
        if reset:
            for writer in self.writers:
                with suppress(OSError):  # it has ended meanwhile
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                    )
        if self._task is not None:
            self._task.cancel()
        await self.ended.wait()

    def drop(self) -> None:
        """Close both sides, even if data was still to be sent."""
        for writer in self.writers:
            writer.transport.abort()
