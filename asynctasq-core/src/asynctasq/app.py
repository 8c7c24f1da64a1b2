"""The app: owns settings, plugins, serializer and drivers, and dispatches."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar, cast, overload
from weakref import WeakSet, ref

from asynctasq.config import Settings, load_settings, url_scheme
from asynctasq.config.early import disabled_plugins
from asynctasq.contracts.capabilities import (
    Capability,
    SupportsWorkers,
    WorkerInfo,
    require,
)
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.dispatch.app_scopes import AppScopes
from asynctasq.dispatch.connections import ConnectionPool
from asynctasq.dispatch.many import ManyDispatch
from asynctasq.dispatch.messages import (
    MessageFactory,
    announce,
    announce_done,
    check_supported,
)
from asynctasq.dispatch.portal import Portal
from asynctasq.dispatch.stores import Stores
from asynctasq.dispatch.unknown_outcome import with_ids
from asynctasq.errors import ConfigurationError, DriverError
from asynctasq.hookspecs import GROUPS
from asynctasq.interpreter import tuned_interpreter
from asynctasq.message import id_from_text, id_to_text
from asynctasq.plugins import PluginRegistry, check_driver, check_product
from asynctasq.plugins.observers import Observers
from asynctasq.resolvers import Resolvers
from asynctasq.results import Handle
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionTask
from asynctasq.tasks.options import default_options
from asynctasq.tasks.unconfirmed import keep_id

if TYPE_CHECKING:
    from asynctasq.operations import DeadLetters, Queues, Tasks

logger = logging.getLogger("asynctasq")

T = TypeVar("T")
AnyDefinition: TypeAlias = FunctionTask[..., T] | type[BaseTask[T]]
"""A task function or a task class."""
Lifespan = Callable[["App"], AbstractAsyncContextManager[Any]]
"""Opens what tasks need while a worker runs; what it yields is `current_task().resources`."""


class App:
    """One application's queue.

        app = App({"driver": "sqlite", "sqlite": {"path": "queue.db"}})
        async with app:
            handle = await app.dispatch(send_email(to="user@example.com"))

    Inside `async with app`, `task.dispatch()` goes to this app too; the outermost of such blocks closes
    it. `asynctasq.init(...)` makes the default app, which serves everything else.
    """

    # For tests of applications, which `testing.override_drivers` gives other drivers.
    _apps: ClassVar["WeakSet[App]"] = WeakSet()
    _stand_in: ClassVar["Callable[[App, Driver], Driver] | None"] = None

    def __init__(
        self, settings: Mapping[str, object] | None = None, *, lifespan: Lifespan | None = None
    ) -> None:
        """Read the settings; nothing is opened.

        Args:
            settings: see `docs/settings.md`; the environment and `.env` supply what is not given.
            lifespan: an async context manager function, entered by each worker.

        Raises:
            ConfigurationError: a setting is wrong; all problems in one error.
            PluginError: the driver's or the serializer's plugin cannot be used.
        """
        if not isinstance(settings, Mapping | None):
            raise ConfigurationError(
                f"Settings are a dict, as in {{'driver': 'sqlite'}}; got {type(settings).__name__}."
            )
        self._arguments = dict(settings or {})
        self._command_line: dict[str, object] = {}
        self.lifespan = lifespan
        self.plugins = PluginRegistry(
            disabled=disabled_plugins(self._arguments), changed=self._forget_observers
        )
        self.resolvers = Resolvers(lambda: self.plugins.names("resolver"), self._make_resolver)
        self._pool = ConnectionPool()
        self._portal = Portal(self.close)
        self._observers: Observers | None = None
        self._usage: AppScopes[Token[App | None]] = AppScopes()
        self._configure()
        self._apps.add(self)

    def _configure(self) -> None:
        self.settings: Settings = self._load(self._arguments, self._command_line)
        self._serializers = self._own_serializers()
        self.codec = Codec(
            self.serializer(self.settings.serializer),
            find_serializer=self.serializer,
            resolvers=self.resolvers,
            max_message_bytes=self.settings.max_message_bytes,
        )
        self.defaults = default_options(self.settings)
        self._messages = MessageFactory(self.codec, self.defaults, sender=ref(self))
        self._stores = Stores(
            self.settings.driver,
            make=self._make_driver,
            clone=self._clone,
            codec=self.codec,
            pool=self._pool,
            portal=self._portal,
        )

    def override(self, settings: Mapping[str, object]) -> None:
        """Let settings of core win over all that were given, as those of a command line do.

        Raises:
            ConfigurationError: a setting is wrong, or the app is open.
            PluginError: the driver's or the serializer's plugin cannot be used.
        """
        if self.is_open:
            raise ConfigurationError("override() comes before the app is opened.")
        self._command_line |= settings
        self._observers = None
        self._configure()

    @property
    def is_open(self) -> bool:
        """Whether a driver is open on a loop that lives."""
        return self._pool.is_open

    def is_same_as(self, other: "App") -> bool:
        """Whether the two would do the same."""
        return self.settings == other.settings and self.lifespan is other.lifespan

    def serializer(self, name: str) -> Serializer:
        """The serializer of that name, made once.

        Raises:
            PluginError: there is none, or it is broken.
        """
        found = self._serializers.get(name)
        if found is None:
            found = self.plugins.create_serializer(name, self.settings.plugin(name))
            self._serializers[name] = found
        return found

    def _own_serializers(self) -> dict[str, Serializer]:
        """What was given as an instance."""
        instance = self.settings.serializer_instance
        if instance is None:
            return {}
        name = self.settings.serializer
        check_product("serializer", name, instance)
        return {name: cast("Serializer", instance)}

    @property
    def observers(self) -> Observers:
        """The hooks of all plugins, bound once, and again when one is registered.

        Raises:
            PluginError: a plugin is broken.
        """
        if self._observers is None:
            self._observers = Observers(self.plugins.hooks())
        return self._observers

    def _forget_observers(self) -> None:
        self._observers = None

    @property
    def store(self) -> str:
        """Where its messages are, for people: an absolute path, or a URL whose password is masked."""
        return self._stores.description

    async def driver(self) -> Driver:
        """The app's driver, opened for the running loop.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        return (await self._stores.connection(self._stores.default)).driver

    def _make_resolver(self, name: str) -> Resolver:
        return self.plugins.create_resolver(name, self.settings.plugin(name))

    async def open(self) -> None:
        """Connect now rather than at the first dispatch. Raises as `driver` does."""
        await self.driver()

    async def close(self) -> None:
        """Send what waits and close what is open on this loop, and what `dispatch_sync` keeps open.

        Idempotent; it opens again when used.

        Raises:
            ConfigurationError: a worker on this loop works with it.
        """
        if self.workers_here():
            raise ConfigurationError(
                "The app cannot be closed while a worker on this event loop works with it: call "
                "worker.stop() and await the end of worker.start() first."
            )
        if self._portal.is_open:
            await asyncio.to_thread(self._portal.close)
        await self._pool.close_here()
        await self.resolvers.close()

    def close_sync(self) -> None:
        """End what `dispatch_sync` keeps open, for code without an event loop. Idempotent."""
        self._portal.close()

    async def __aenter__(self) -> Self:
        await self.open()
        self._usage.enter(current.set(self))
        return self

    async def __aexit__(self, *_: object) -> None:
        entered, is_last = self._usage.leave()
        if current.get() is self:
            before = entered.old_value
            current.set(before if before is not Token.MISSING else None)
        if is_last:
            await self.close()

    def serving(self) -> AbstractContextManager[None]:
        """While a worker, run by the current task, works with this app: it cannot be closed here."""
        return self._usage.serving()

    def workers_here(self) -> list[asyncio.Task[Any]]:
        """The tasks of the workers that work with it on the running loop."""
        return self._usage.workers_here()

    # Dispatch.

    async def dispatch(self, task: BaseTask[T]) -> Handle[T]:
        """Enqueue a task; returns when the store has it. Raises as `BaseTask.dispatch` does."""
        key = self._stores.key_for(task)
        message = self._messages.make(task)
        try:
            connection = self._stores.opened(key) or await self._stores.connection(key)
            check_supported(connection.driver, message)
            observers = self._observers or self.observers
            if observers.before_dispatch:
                message = await announce(observers, message)
                self._messages.check_size(message)
            enqueued = await connection.outbox.send(message)
            if observers.after_dispatch:
                await announce_done(observers, message)
        except DriverError as error:
            keep_id(task, message.id)
            raise with_ids(error, [message.id]) from error.__cause__
        except BaseException:  # a cancellation, say, after the message was sent
            keep_id(task, message.id)
            raise
        return self._stores.source(key).handle(task, message, enqueued)

    def dispatch_sync(self, task: BaseTask[T]) -> Handle[T]:
        """Enqueue a task from code without an event loop. Raises as `BaseTask.dispatch_sync` does."""
        return self._portal.call(
            lambda: self.dispatch(task),
            instead="`await task.dispatch()`",
            undelivered=lambda handle: keep_id(task, id_from_text(handle)),
        )

    async def dispatch_many(
        self,
        tasks: Iterable[BaseTask[T]],
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> list[Handle[T]]:
        """Enqueue tasks in chunks of at most 1,000 messages or 1 MB, each atomic.

        A chunk is under way while the next is made. An error ends the call. The chunks before it stay
        dispatched, and a note on the error says how many tasks those are. All tasks keep their ids,
        so repeating the call with the same objects adds only the missing ones.

        Args:
            tasks: with arguments; each may have options of its own.
            on_progress: told after each chunk how many the store has taken.

        Raises:
            DispatchError: a task cannot be dispatched.
            DriverUnavailable: the store could not be reached, or its answer was lost. It is unknown
                whether the store has accepted the tasks of `task_ids`.
            DriverError: the store refused a chunk.
        """
        with tuned_interpreter():
            many: ManyDispatch[T] = ManyDispatch(
                self._stores, self._messages, self.observers, on_progress=on_progress
            )
            return await many.run(tasks)

    @overload
    def handle(self, task_id: str) -> Handle[Any]: ...
    @overload
    def handle(self, task_id: str, task: AnyDefinition[T]) -> Handle[T]: ...
    def handle(self, task_id: str, task: AnyDefinition[T] | None = None) -> Handle[Any]:
        """Return the handle of a task that was dispatched earlier, or elsewhere.

        Args:
            task_id: as text.
            task: the task function or class, which gives the type of the result, and the driver where
                the task names one. Without it, the task is on the app's driver.

        Raises:
            ValueError: `task_id` is not a UUID.
        """
        source = self._stores.source(self._stores.key_of(task))
        return Handle.of(id_to_text(id_from_text(task_id)), source)

    # What operators ask for and do; imported by those who do.

    @property
    def queues(self) -> "Queues":
        """The queues of the app's store: counts, pause, purge."""
        from asynctasq.operations import Queues

        return Queues(self.driver)

    @property
    def tasks(self) -> "Tasks":
        """The tasks in the app's store: list, look at, cancel."""
        from asynctasq.operations import Tasks

        return Tasks(self.driver, self.codec)

    @property
    def dead_letters(self) -> "DeadLetters":
        """The dead letters in the app's store: list, retry, edit, delete."""
        from asynctasq.operations import DeadLetters

        return DeadLetters(self.driver, self.codec)

    async def workers(self) -> list[WorkerInfo]:
        """The workers of the app's store that live, by id.

        Raises:
            CapabilityMissing: the driver keeps no register of workers.
        """
        driver = await self.driver()
        store = require(driver, Capability.WORKERS, SupportsWorkers, purpose="Listing workers")
        return await store.workers()

    # Drivers.

    def _swap_pool(self, pool: ConnectionPool) -> ConnectionPool:
        before, self._pool = self._pool, pool
        self._stores.pool = pool
        return before

    def _clone(self, template: Driver) -> Driver:
        stand_in = App._stand_in
        return template.clone() if stand_in is None else stand_in(self, template)

    def _make_driver(self, chosen: object) -> Driver:
        if not isinstance(chosen, str):
            check_driver(chosen)
            return cast("Driver", chosen)
        name = url_scheme(chosen) or chosen
        settings = self.settings
        if chosen != settings.driver and url_scheme(chosen):
            command_line = {k: v for k, v in self._command_line.items() if k != "driver"}
            settings = self._load({**self._arguments, "driver": chosen}, command_line)
        return self.plugins.create_driver(name, settings.plugin(name))

    def _load(
        self, arguments: Mapping[str, object], command_line: Mapping[str, object]
    ) -> Settings:
        return load_settings(
            arguments,
            command_line=command_line,
            settings_class=self._settings_class,
            known_plugins={name for kind in GROUPS for name in self.plugins.names(kind)},
        )

    def _settings_class(self, name: str) -> type | None:
        for kind in GROUPS:
            if name in self.plugins.names(kind):
                return self.plugins.settings_class(kind, name)
        return None


current: ContextVar[App | None] = ContextVar("asynctasq_current_app", default=None)
"""The app that `async with` or a worker has made the one in use."""
