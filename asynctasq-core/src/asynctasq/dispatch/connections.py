"""Opened drivers: one clone per event loop, opened at the first use and closed with its loop."""

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
    """An opened driver, with the batcher and the watcher that share its round trips."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.batcher = EnqueueBatcher(driver)
        self._watcher: ResultWatcher | None = None

    @property
    def watcher(self) -> ResultWatcher:
        """The watcher that `handle.result()` uses.

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
        """Send the messages and events that wait, stop watching, and close the driver."""
        await self.batcher.drain()
        await self.batcher.events.finish()
        if self._watcher is not None:
            await self._watcher.close()
        await self.driver.close()


class LoopConnections:
    """The connections of one event loop, by the key of their store."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.process = os.getpid()
        self.opened: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[Connection]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        """Close the drivers of other loops."""

    @property
    def is_stale(self) -> bool:
        """True if they cannot be used any more: the loop is closed, or the process was forked."""
        return self.loop.is_closed() or self.is_inherited

    @property
    def is_inherited(self) -> bool:
        """True if they belong to the parent process, which closing them would disturb."""
        return self.process != os.getpid()

    async def get(self, key: str, make: Callable[[], Driver]) -> Connection:
        """Return the connection of that key; calls that arrive while it is opened share it.

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
        if unfinished := {*self._opening.values(), *self._closing}:
            await asyncio.wait(unfinished)
        while self.opened:
            _, connection = self.opened.popitem()
            await connection.close()

    def close_drivers_of(self, gone: "LoopConnections") -> None:
        """Close drivers whose loop was closed before them; drivers allow that from another loop."""

        async def close() -> None:
            while gone.opened:
                _, connection = gone.opened.popitem()
                await connection.driver.close()

        closing = self.loop.create_task(close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

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
        self._inherited: list[LoopConnections] = []
        """Connections of the parent process, kept so that the garbage collector does not close them."""
        self._lock = threading.Lock()
        self.last_used: LoopConnections | None = None
        """The connections that `here` returned last: a short cut for callers that check the loop."""

    def here(self) -> LoopConnections:
        """Return the connections of the running loop."""
        loop = asyncio.get_running_loop()
        for connections in self._by_loop:
            if connections.loop is loop and not connections.is_inherited:
                self.last_used = connections
                return connections
        return self._add(loop)

    @property
    def is_open(self) -> bool:
        """True if a driver is open on a loop that is not closed."""
        return any(each.opened and not each.is_stale for each in self._by_loop)

    async def close_here(self) -> None:
        """Close the connections of the running loop, and drivers whose loop was closed."""
        connections = self.here()
        with self._lock:
            self._by_loop = [each for each in self._by_loop if each is not connections]
            self.last_used = None
        await connections.close()

    def take_over(self, other: "ConnectionPool") -> None:
        """Take the connections of closed loops from another pool; the next use of this one closes them."""
        with other._lock:
            stale = [each for each in other._by_loop if each.is_stale]
            other._by_loop = [each for each in other._by_loop if not each.is_stale]
        with self._lock:
            self._by_loop.extend(stale)
            self._inherited.extend(other._inherited)

    def set_aside(self) -> Callable[[], None]:
        """Continue without the connections of this moment; the function returned brings them back."""
        with self._lock:
            aside, self._by_loop, self.last_used = self._by_loop, [], None

        def restore() -> None:
            with self._lock:
                self._by_loop, self.last_used = aside, None

        return restore

    def _add(self, loop: asyncio.AbstractEventLoop) -> LoopConnections:
        added = LoopConnections(loop)
        with self._lock:
            stale = [each for each in self._by_loop if each.is_stale]
            self._by_loop = [each for each in self._by_loop if not each.is_stale] + [added]
            self._inherited.extend(each for each in stale if each.is_inherited)
            self.last_used = added
        for each in stale:
            if not each.is_inherited and each.opened:
                added.close_drivers_of(each)
        return added
