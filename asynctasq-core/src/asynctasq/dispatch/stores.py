"""The stores that an app dispatches to: its own, and those that tasks name."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from asynctasq.config import mask_url
from asynctasq.contracts.capabilities.transactions import SupportsTransactions
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.dispatch.connections import Connection, ConnectionPool
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.dispatch.schedule_notices import ScheduleNotices
from asynctasq.dispatch.source import DriverSource
from asynctasq.dispatch.transaction_lookups import TransactionLookups
from asynctasq.message import Message, id_to_text
from asynctasq.results import Handle
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask, set_field
from asynctasq.tasks.definition import definition_of
from asynctasq.tasks.registry import registry
from asynctasq.transaction_adapters import TransactionAdapters

if TYPE_CHECKING:
    from asynctasq.dispatch.outbox import AppOutbox

logger = logging.getLogger("asynctasq")

T = TypeVar("T")


class Store:
    """One store: the driver that its connections are cloned from, and the handles of its tasks."""

    def __init__(self, key: str, driver: Driver, stores: "Stores", *, target: str) -> None:
        self.key = key
        """Name or URL by which the store was chosen; it distinguishes driver instances."""
        self.driver = driver
        """Never opened; `Driver.clone` is called for each event loop."""
        self.target = target
        """Names the store in the rows of an outbox, in every process of the application."""
        self.outbox = stores.outbox
        """Holds messages for this store that are dispatched in a transaction; None if there is no outbox."""
        lookups = TransactionLookups(self, stores.transactions)
        self.source = DriverSource(
            self.connection, stores.codec, stores.portal, lookups, check_first=True
        )
        """Answers handles of tasks that may be unknown to the store."""
        self._dispatched = DriverSource(
            self.connection, stores.codec, stores.portal, lookups, check_first=False
        )
        self.plans_when_open: bool = getattr(driver, "plans_when_open", False)
        """True if only an open driver can make plans for transactions."""
        self._call_sync = stores.portal.call
        self._pool = stores.pool
        self._clone = stores.clone
        self._is_logged = False

    def opened(self) -> Connection | None:
        """Return the connection of the running loop if it is open."""
        here = self._pool.last_used
        if (
            here is None
            or here.loop is not asyncio.get_running_loop()
            or here.process != os.getpid()
        ):
            here = self._pool.here()
        return here.opened.get(self.key)

    async def connection(self) -> Connection:
        """Return the connection of the running loop, which is opened at the first call.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        return await self._pool.here().get(self.key, self._new_clone)

    async def planner(self) -> Driver:
        """Return the driver that makes plans for transactions.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        return (await self.connection()).driver if self.plans_when_open else self.driver

    def planner_sync(self) -> Driver:
        """Return the driver that makes plans, for code without an event loop. Raises as `planner` does."""
        if not self.plans_when_open:
            return self.driver
        return self._call_sync(self.planner, instead="the async form of the call")

    async def committed(self, queues: Sequence[str]) -> None:
        """Wake workers that wait for these queues, after a transaction with messages was committed.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        opened = (await self.connection()).driver
        if isinstance(opened, SupportsTransactions):
            await opened.committed(queues)

    async def publish_enqueued(self, messages: Sequence[Message]) -> None:
        """Publish that messages were enqueued, after the commit of their transaction, if there is a listener.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        events = (await self.connection()).batcher.events
        if events.active:
            events.enqueued(messages, [Enqueued(message.id, True) for message in messages])

    def handle_of(
        self, task: BaseTask[T], message: Message, enqueued: Enqueued, *, committed: bool = True
    ) -> Handle[T]:
        """Return the handle of a task that the store has accepted, and set the id of the task.

        Without `committed`, the store may still forget the task, because a transaction is rolled back.
        """
        text = id_to_text(enqueued.id)
        set_field(task, "_task_id", text)
        handle = self.handle_with_id(text, task, message, enqueued)
        if not committed:
            handle._source = self.source
        return handle

    def handle_with_id(
        self, text: str, task: BaseTask[T], message: Message, enqueued: Enqueued
    ) -> Handle[T]:
        """Return the handle of a task that the store has accepted; `text` is the id of its answer."""
        handle: Handle[T] = Handle(text)  # as `Handle.of` does, without the call
        handle._source = self._dispatched
        handle.created = enqueued.created or (
            # The driver knew an id that core made: the answer to an earlier enqueue of it was lost.
            enqueued.id == message.id and "id" not in (task._overrides or ())
        )
        return handle

    def _new_clone(self) -> Driver:
        clone = self._clone(self.driver)
        if not self._is_logged:  # once: programs with a loop for each call open many clones
            self._is_logged = True
            logger.info("Using store %s", clone.description)
        return clone


class Stores:
    """The stores of one app."""

    def __init__(
        self,
        default: object,
        *,
        make: Callable[[object], Driver],
        clone: Callable[[Driver], Driver],
        codec: Codec,
        pool: ConnectionPool,
        portal: BlockingPortal,
        transactions: TransactionAdapters,
        outbox: object = None,
    ) -> None:
        """Make the driver of the default store.

        Args:
            default: name, URL or driver of the default store.
            make: returns the unopened driver for a name, a URL or a driver.
            clone: returns the driver to open in place of an unopened one.
            codec: decodes results and progress.
            pool: holds the open connections.
            portal: runs calls from code without an event loop.
            transactions: run calls in transactions of the application.
            outbox: name, URL or driver of the database of the application; None if it has no outbox.

        Raises:
            ConfigurationError: the driver of the outbox cannot hold one.
            PluginError: the driver's plugin cannot be used.
        """
        self.clone = clone
        self.codec = codec
        self.pool = pool
        self.portal = portal
        self.transactions = transactions
        self._make = make
        self.outbox = None if outbox is None else _app_outbox(make(outbox))
        """Holds messages for stores that cannot take part in transactions; None if there is none."""
        self.schedules = ScheduleNotices()
        self._by_key: dict[str, Store] = {}
        self.default = self._get(default)
        """The app's own store."""

    def store_for(self, task: BaseTask[Any]) -> Store:
        """Return the store that a task is dispatched to.

        Raises:
            TypeError: the object is not a task with its arguments.
            PluginError: the plugin of the driver that it names cannot be used.
        """
        try:
            chosen = task._driver_override
        except AttributeError:
            raise TypeError(
                f"Only a task with its arguments can be dispatched, got {task!r}. Call the task first, "
                f"as in `f(...)`."
            ) from None
        if chosen is None and task._definition is not None:
            chosen = task._definition.driver
        return self.default if chosen is None else self._get(chosen)

    def store_of(self, task: object) -> Store:
        """Return the store of a task function or class; the default one for any other object."""
        definition = definition_of(task)
        chosen = None if definition is None else definition.driver
        return self.default if chosen is None else self._get(chosen)

    def of_tasks(self) -> list[Store]:
        """Return the default store and those that tasks have named so far.

        Raises:
            PluginError: the plugin of a driver that a registered task names cannot be used.
        """
        for each in registry:
            if each.driver is not None:
                self._get(each.driver)
        return list(self._by_key.values())

    def _get(self, chosen: object) -> Store:
        key = (
            chosen if isinstance(chosen, str) else f"{type(chosen).__qualname__} at {id(chosen):#x}"
        )
        found = self._by_key.get(key)
        if found is None:
            driver = self._make(chosen)
            place = mask_url(chosen) if isinstance(chosen, str) else driver.description
            target = place if self._by_key else ""
            found = self._by_key[key] = Store(key, driver, self, target=target)
        return found


def _app_outbox(driver: Driver) -> "AppOutbox":
    from asynctasq.dispatch.outbox import AppOutbox

    return AppOutbox(driver)
