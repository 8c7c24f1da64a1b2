"""Connections to the server: one for each call, repeated where another transaction was in the way."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from asynctasq.backoff import Backoff
from asynctasq.errors import DriverError
from asynctasq_mysql.clients import SMALLEST_PACKET, Client, Wire
from asynctasq_mysql.errors import (
    DEMOTED,
    DUPLICATE,
    LOST,
    REPEATED,
    LostConnection,
    code_of,
    translated,
)
from asynctasq_mysql.settings import MySQLSettings
from asynctasq_mysql.statements import statements

T = TypeVar("T")

ATTEMPTS = 6
"""How often a call is made that the server has undone, before it fails."""
PAUSES = Backoff(0.005, 0.2)
IDLE_SECONDS = 60.0
"""Connections that were idle for longer are not trusted: servers and proxies close them."""


class Connections:
    """Connections to one server. Each serves one call at a time, and is kept for the next call."""

    def __init__(self, settings: MySQLSettings, description: str) -> None:
        self.settings = settings
        self.description = description
        self.process = os.getpid()
        self.statements = statements(settings.table_prefix)
        self._client = Client(settings.client)
        self._permits = asyncio.Semaphore(settings.max_connections)
        self._free: list[Wire] = []
        self._all: set[Wire] = set()
        self._closed = False
        self.packet = SMALLEST_PACKET
        """Bytes of statements that are sent together."""
        self._loop = asyncio.get_running_loop()

    async def call(
        self, body: Callable[[Wire], Awaitable[T]], *, again: bool = True, is_long: bool = False
    ) -> T:
        """Return the answer of `body`, which gets a connection without an open transaction.

        Args:
            body: makes the call; it is made again if the server has undone it.
            again: False if the call must not be repeated after the connection broke in the middle of it.
            is_long: True if the call may take longer than `timeout`.

        Raises:
            DriverUnavailable: the server cannot be reached, or could not do it for long.
            DriverError: the server refused it.
        """
        attempt = 0
        while True:
            attempt += 1
            was_used = bool(self._free)
            try:
                async with self._borrowed() as wire:
                    return await (body(wire) if is_long else self._timed(body(wire)))
            except (DriverError, asyncio.CancelledError):
                raise
            except (self._client.error, LostConnection, TimeoutError, OSError) as error:
                code = code_of(error)
                if (code in REPEATED or code == DUPLICATE) and attempt < ATTEMPTS:
                    await asyncio.sleep(PAUSES.pause(attempt))
                    continue
                is_stale = isinstance(error, LostConnection) or code in LOST
                if is_stale and was_used and again and attempt == 1:
                    await self._close_free()
                    continue
                if is_stale or code in DEMOTED:
                    await self._close_free()
                raise translated(error, self.description) from error

    async def _timed(self, call: Awaitable[T]) -> T:
        async with asyncio.timeout(self.settings.timeout):
            return await call

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Wire]:
        async with self._permits:
            wire = await self._connected()
            wire.packet = self.packet
            try:
                yield wire
            except BaseException:
                await self._clean(wire)
                raise
            if wire.is_broken or self._closed:
                await self._close(wire)
            else:
                wire.idle_since = time.monotonic()
                self._free.append(wire)

    async def _clean(self, wire: Wire) -> None:
        """Undo what a call has left open, or give the connection up."""
        if not wire.is_broken and not self._closed:
            with suppress(Exception):
                await asyncio.wait_for(wire.run("ROLLBACK"), self.settings.timeout)
                wire.idle_since = time.monotonic()
                self._free.append(wire)
                return
        await self._close(wire)

    async def _connected(self) -> Wire:
        self._check_open()
        while self._free:
            wire = self._free.pop()
            if time.monotonic() - wire.idle_since < IDLE_SECONDS:
                return wire
            await self._close(wire)
        async with asyncio.timeout(self.settings.connect_timeout + self.settings.timeout):
            wire = await self._client.connect(self.settings)
            self._all.add(wire)
            try:
                await wire.run(self.statements.store["session"]())
            except BaseException:
                await self._close(wire)
                raise
        if self._closed:  # while this connected: `close` has not seen it
            await self._close(wire)
        self._check_open()
        return wire

    def _check_open(self) -> None:
        if self._closed:
            raise DriverError(
                f"The MySQL driver of {self.description} was closed while this call was under way. Await calls "
                "before `close()`."
            )

    async def _close(self, wire: Wire) -> None:
        self._all.discard(wire)
        await wire.close()

    async def _close_free(self) -> None:
        free, self._free = self._free, []
        for wire in free:
            await self._close(wire)

    async def close(self) -> None:
        """Close all connections; on another loop than that of `open`, too, if that loop is closed. Never raises."""
        self._closed = True
        self._free = []
        wires, self._all = list(self._all), set()
        for wire in wires:
            if self._loop is asyncio.get_running_loop():
                await wire.close()
            else:
                wire.drop()
        await asyncio.sleep(0)
