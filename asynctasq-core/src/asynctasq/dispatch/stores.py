"""The stores that an app dispatches to: its own, and those that tasks name."""

import logging
from collections.abc import Callable
from typing import Any

from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.connections import Connection, ConnectionPool
from asynctasq.dispatch.portal import Portal
from asynctasq.dispatch.source import DriverSource
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask

logger = logging.getLogger("asynctasq")


class Stores:
    """Unopened drivers by key, and the way into an opened clone of each.

    The key of a store is the name or URL by which it was chosen, or tells driver instances apart.
    """

    def __init__(
        self,
        default: object,
        *,
        make: Callable[[object], Driver],
        clone: Callable[[Driver], Driver],
        codec: Codec,
        pool: ConnectionPool,
        portal: Portal,
    ) -> None:
        """Make the driver of the default store.

        Args:
            default: its name, URL or driver.
            make: gives the unopened driver of a name, a URL or a driver.
            clone: gives another of an unopened driver, to be opened.
            codec: decodes what tasks returned.
            pool: keeps what is open.
            portal: runs calls from code without a loop.

        Raises:
            PluginError: the driver's plugin cannot be used.
        """
        self.pool = pool
        self._portal = portal
        self._make = make
        self._clone = clone
        self._codec = codec
        self._drivers: dict[str, Driver] = {}
        self._sources: dict[str, DriverSource] = {}
        self._told: set[str] = set()
        """Keys of the stores that the log has named."""
        self.default = self._key_of(default)
        """The key of the app's own store."""

    @property
    def description(self) -> str:
        """The default store, for people."""
        return self._drivers[self.default].description

    def key_for(self, task: BaseTask[Any]) -> str:
        """Where a task goes.

        Raises:
            TypeError: it is no task with its arguments.
            PluginError: the plugin of the driver that it names cannot be used.
        """
        try:
            chosen = task._driver_override
        except AttributeError:
            raise TypeError(
                f"{task!r} is no task with its arguments: call the task first, as in `f(...)`."
            ) from None
        if chosen is None and task._definition is not None:
            chosen = task._definition.driver
        return self.default if chosen is None else self._key_of(chosen)

    def key_of(self, task: object) -> str:
        """Return where calls of a task function or class go; the default store without a definition."""
        definition = getattr(task, "_definition", None)
        chosen = None if definition is None else definition.driver
        return self.default if chosen is None else self._key_of(chosen)

    async def connection(self, key: str) -> Connection:
        """The connection of the running loop.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        return await self.pool.here().get(key, lambda: self._new_clone(key))

    def opened(self, key: str) -> Connection | None:
        """That connection, if there is one already."""
        return self.pool.here().opened.get(key)

    def source(self, key: str) -> DriverSource:
        """What the handles of its tasks ask."""
        found = self._sources.get(key)
        if found is None:
            found = self._sources[key] = DriverSource(
                lambda: self.connection(key), self._codec, self._portal
            )
        return found

    def _key_of(self, chosen: object) -> str:
        key = (
            chosen if isinstance(chosen, str) else f"{type(chosen).__qualname__} at {id(chosen):#x}"
        )
        if key not in self._drivers:
            self._drivers[key] = self._make(chosen)
        return key

    def _new_clone(self, key: str) -> Driver:
        clone = self._clone(self._drivers[key])
        if key not in self._told:  # once: programs with a loop for each call open many clones
            self._told.add(key)
            logger.info("The store is %s.", clone.description)
        return clone
