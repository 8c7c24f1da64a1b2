"""The app: the settings, the stores and the dispatcher of one application."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Token
from functools import partial
from typing import Any, Self, TypeVar, overload
from weakref import ref

from asynctasq import runtime
from asynctasq.app_operations import AppOperations
from asynctasq.app_runtime import Runtime
from asynctasq.config import Settings
from asynctasq.dispatch.app_scopes import AppScopes
from asynctasq.dispatch.connections import ConnectionPool
from asynctasq.dispatch.dispatcher import AnyDefinition, Dispatcher
from asynctasq.dispatch.driver_override import driver_to_open, register_app
from asynctasq.dispatch.messages import MessageFactory
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.dispatch.stores import Stores
from asynctasq.errors import ConfigurationError
from asynctasq.plugins import PluginRegistry
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask

T = TypeVar("T")
Lifespan = Callable[["App"], AbstractAsyncContextManager[Any]]
"""Opens resources of tasks while a worker runs. The value that it yields is `current_task().resources`."""


class App(AppOperations):
    """One application's queue.

        app = App({"driver": "sqlite", "sqlite": {"path": "queue.db"}})
        async with app:
            handle = await app.dispatch(send_email(to="user@example.com"))

    Inside `async with app`, `task.dispatch()` uses this app too; the end of the outermost block closes
    it. Outside of such blocks, `task.dispatch()` uses the default app, which `asynctasq.init(...)` makes.
    """

    def __init__(
        self, settings: Mapping[str, object] | None = None, *, lifespan: Lifespan | None = None
    ) -> None:
        """Load the settings; nothing is opened.

        Args:
            settings: see `docs/settings.md`; settings that are not given come from the environment and
                `.env`.
            lifespan: an async context manager function, entered by each worker.

        Raises:
            ConfigurationError: a setting is wrong; all problems are in one error.
            PluginError: the plugin of the driver or of the serializer cannot be used.
        """
        if not isinstance(settings, Mapping | None):
            raise ConfigurationError(
                f"Settings must be a dict, as in {{'driver': 'sqlite'}}, got {type(settings).__name__}."
            )
        self.lifespan = lifespan
        self._runtime = Runtime(settings or {})
        self._pool = ConnectionPool()
        self._portal = BlockingPortal(self.close)
        self._scopes: AppScopes[runtime.AppToken] = AppScopes()
        self._dispatcher = self._make_dispatcher()
        register_app(self)

    def _make_dispatcher(self) -> Dispatcher:
        made = self._runtime
        stores = Stores(
            made.settings.driver,
            make=made.make_driver,
            clone=partial(driver_to_open, self),
            codec=made.codec,
            pool=self._pool,
            portal=self._portal,
            transactions=made.transactions,
            outbox=made.settings.outbox,
        )
        made.settings.check_durations(stores.default.driver.default_lease)
        messages = MessageFactory(made.codec, made.defaults, sender=ref(self))
        return Dispatcher(made, stores, messages, self._portal)

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self._runtime.settings

    @property
    def plugins(self) -> PluginRegistry:
        """The plugins that are installed; `plugins.register` adds the application's own."""
        return self._runtime.plugins

    # Opening and closing.

    @property
    def is_open(self) -> bool:
        """True while a driver is open on an event loop that is not closed."""
        return self._pool.is_open

    async def open(self) -> None:
        """Connect now rather than at the first dispatch. Raises as `driver` does."""
        await self.driver()

    async def close(self) -> None:
        """Send the messages that wait, and close everything that is open on this loop.

        The connections of `dispatch_sync` are closed too. You may close an app twice, and use it again
        after that.

        Raises:
            ConfigurationError: a worker on this loop uses the app.
        """
        if self._workers_here():
            raise ConfigurationError(
                "The app cannot be closed while a worker on this event loop uses it. Call worker.stop() "
                "and await the end of worker.start() first."
            )
        await self._dispatcher.transactions.notices.finish()
        if self._portal.is_open:
            await asyncio.to_thread(self._portal.close)
        await self._pool.close_here()
        await self._runtime.resolvers.close()

    def close_sync(self) -> None:
        """Close the connections of `dispatch_sync`, for code without an event loop. Idempotent."""
        self._portal.close()

    async def __aenter__(self) -> Self:
        await self.open()
        self._scopes.enter(runtime.use_here(self))
        return self

    async def __aexit__(self, *_: object) -> None:
        entered, is_last = self._scopes.leave()
        if runtime.enclosing_app() is self:
            before = entered.old_value
            runtime.use_here(before if before is not Token.MISSING else None)
        if is_last:
            await self.close()

    # Dispatch.

    async def dispatch(self, task: BaseTask[T], *, transaction: object = None) -> Handle[T]:
        """Enqueue a task; returns when the store has it. Raises as `BaseTask.dispatch` does."""
        return await self._dispatcher.dispatch(task, transaction=transaction)

    def dispatch_sync(self, task: BaseTask[T], *, transaction: object = None) -> Handle[T]:
        """Enqueue a task from code without an event loop. Raises as `BaseTask.dispatch_sync` does."""
        return self._dispatcher.dispatch_sync(task, transaction=transaction)

    async def dispatch_many(
        self,
        tasks: Iterable[BaseTask[T]],
        *,
        on_progress: Callable[[int], object] | None = None,
        transaction: object = None,
    ) -> list[Handle[T]]:
        """Enqueue tasks in chunks of at most 1,000 messages or 1 MB, each atomic.

        The next chunk is made while the store receives the one before. An error ends the call. The
        chunks before it stay dispatched, and a note on the error says how many tasks those are. All
        tasks keep their ids, so repeating the call with the same objects adds only the missing ones.

        Args:
            tasks: with arguments; each may have its own options.
            on_progress: called after each chunk with the number of tasks that the stores have accepted.
            transaction: an open transaction, as for `BaseTask.dispatch`. All tasks appear at its commit.

        Raises:
            DispatchError: a task cannot be dispatched.
            DriverUnavailable: the store could not be reached, or its answer was lost. It is unknown
                whether the store has accepted the tasks of `task_ids`.
            DriverError: the store refused a chunk.
            TransactionError: the transaction is not open, or belongs to another database.
        """
        return await self._dispatcher.dispatch_many(
            tasks, on_progress=on_progress, transaction=transaction
        )

    @overload
    def handle(self, task_id: str) -> Handle[Any]: ...
    @overload
    def handle(self, task_id: str, task: AnyDefinition[T]) -> Handle[T]: ...
    def handle(self, task_id: str, task: AnyDefinition[T] | None = None) -> Handle[Any]:
        """Return the handle of a task that was dispatched earlier, or by another program.

        Args:
            task_id: as text.
            task: the task function or class, which gives the type of the result, and the driver if the
                task names one. Without it, the task is looked for in the app's store.

        Raises:
            ValueError: `task_id` is not a UUID.
        """
        return self._dispatcher.handle(task_id, task)

    # For the worker, the command line and `asynctasq.testing`.

    def _override(self, settings: Mapping[str, object]) -> None:
        """Let settings of core take precedence over all others, as those of a command line do.

        Raises:
            ConfigurationError: a setting is wrong, or the app is open.
            PluginError: the plugin of the driver or of the serializer cannot be used.
        """
        if self.is_open:
            raise ConfigurationError(
                "Settings cannot be overridden while the app is open. Override them before its first use."
            )
        self._runtime.override(settings)
        self._dispatcher = self._make_dispatcher()

    def _is_same_as(self, other: "App") -> bool:
        """Return whether the two have the same settings and the same lifespan."""
        return self.settings == other.settings and self.lifespan is other.lifespan

    def _serving(self) -> AbstractContextManager[None]:
        """Prevent the app from being closed while the current task runs a worker on this loop."""
        return self._scopes.serving()

    def _workers_here(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that run workers with this app on the running loop."""
        return self._scopes.workers_here()

    def _set_connections_aside(self) -> Callable[[], None]:
        """Continue without open connections; the function that is returned brings them back."""
        was_open, restore_pool = self._portal.is_open, self._pool.set_aside()

        def restore() -> None:
            if not was_open:
                self.close_sync()
            restore_pool()

        return restore


def stores_of(app: App) -> Stores:
    """Return the stores of an app and its outbox, for the relay of its workers."""
    return app._dispatcher.stores


def runtime_of(app: App) -> Runtime:
    """Return the settings, plugins, codec and observers of an app, which its workers share."""
    return app._runtime


def messages_of(app: App) -> MessageFactory:
    """Return the part of an app that makes messages, for the schedules that tasks declare."""
    return app._dispatcher.messages
