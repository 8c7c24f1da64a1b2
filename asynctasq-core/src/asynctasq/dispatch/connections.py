"""Opened drivers: one clone per event loop, made when first needed, dropped with its loop."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable

from asynctasq.contracts.capabilities import Capability, SupportsResults, require
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.enqueue_batcher import EnqueueBatcher
from asynctasq.dispatch.result_watcher import ResultWatcher

logger = logging.getLogger("asynctasq")


class Connection:
    """An opened driver, with what shares its round trips."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.outbox = EnqueueBatcher(driver)
        self._watcher: ResultWatcher | None = None

    @property
    def watcher(self) -> ResultWatcher:
        """The watcher for outcomes.

        Raises:
            CapabilityMissing: the driver keeps no results.
        """
        if self._watcher is None:
            self._watcher = ResultWatcher(
                require(
                    self.driver, Capability.RESULTS, SupportsResults, purpose="Awaiting a result"
                )
            )
        return self._watcher

    async def close(self) -> None:
        """Send what waits, stop watching, close the driver."""
        await self.outbox.drain()
        if self._watcher is not None:
            await self._watcher.close()
        await self.driver.close()


class LoopConnections:
    """The connections of one event loop, by driver."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._process = os.getpid()
        self.opened: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[Connection]] = {}
        self._letting_go: set[asyncio.Task[None]] = set()

    @property
    def is_stale(self) -> bool:
        """Whether nothing can be done with them any more: the loop is closed, or the process was forked."""
        return self.loop.is_closed() or self._process != os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Whether they belong to the parent process: closing them would disturb it."""
        return self._process != os.getpid()

    async def get(self, key: str, make: Callable[[], Driver]) -> Connection:
        """The connection of that key; opened by whoever comes first, shared by those who come meanwhile.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        found = self.opened.get(key)
        if found is not None:
            return found
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = self.loop.create_task(self._open(key, make))
            opening.add_done_callback(lambda _: self._opening.pop(key, None))
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Close all of them."""
        if unfinished := {*self._opening.values(), *self._letting_go}:
            await asyncio.wait(unfinished)
        while self.opened:
            _, connection = self.opened.popitem()
            await connection.close()

    def let_go(self, gone: "LoopConnections") -> None:
        """Close drivers whose loop was closed under them; drivers allow that from another loop."""

        async def close() -> None:
            while gone.opened:
                _, connection = gone.opened.popitem()
                await connection.driver.close()

        closing = self.loop.create_task(close())
        self._letting_go.add(closing)
        closing.add_done_callback(self._letting_go.discard)

    async def _open(self, key: str, make: Callable[[], Driver]) -> Connection:
        driver = make()
        try:
            await driver.open()
        except BaseException:
            await driver.close()
            raise
        connection = self.opened[key] = Connection(driver)
        return connection


class ConnectionPool:
    """The connections of an app, by event loop."""

    def __init__(self) -> None:
        self._by_loop: list[LoopConnections] = []
        self._left_behind: list[LoopConnections] = []
        self._lock = threading.Lock()

    def here(self) -> LoopConnections:
        """Those of the running loop."""
        loop = asyncio.get_running_loop()
        for connections in self._by_loop:
            if connections.loop is loop and not connections.is_inherited:
                return connections
        return self._add(loop)

    @property
    def is_open(self) -> bool:
        """Whether a loop that lives has an opened driver."""
        return any(each.opened and not each.is_stale for each in self._by_loop)

    async def close_here(self) -> None:
        """Close those of the running loop, and let go of those whose loop is gone."""
        connections = self.here()
        with self._lock:
            self._by_loop = [each for each in self._by_loop if each is not connections]
        await connections.close()

    def take_over(self, other: "ConnectionPool") -> None:
        """Take what another pool has left on closed loops, to be closed with the next use of this one."""
        with other._lock:
            stale = [each for each in other._by_loop if each.is_stale]
            other._by_loop = [each for each in other._by_loop if not each.is_stale]
        with self._lock:
            self._by_loop.extend(stale)
            self._left_behind.extend(other._left_behind)

    def _add(self, loop: asyncio.AbstractEventLoop) -> LoopConnections:
        added = LoopConnections(loop)
        with self._lock:
            stale = [each for each in self._by_loop if each.is_stale]
            self._by_loop = [each for each in self._by_loop if not each.is_stale] + [added]
            self._left_behind.extend(each for each in stale if each.is_inherited)
        for each in stale:
            if not each.is_inherited and each.opened:
                added.let_go(each)
        return added
