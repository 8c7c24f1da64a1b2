"""The worker, for code that runs one: `Worker(...).start()`."""

import logging
import os
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from asynctasq.app import App, messages_of, runtime_of, stores_of
from asynctasq.config import mask_url
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import Executor
from asynctasq.default import current_app
from asynctasq.errors import ConfigurationError, PluginNotFound
from asynctasq.executors.forks import forks_of_loop
from asynctasq.import_rules import LOADED_ONLY, import_rule
from asynctasq.interpreter import frozen_modules, tuned_interpreter
from asynctasq.plugins import check_driver
from asynctasq.runtime import use_here
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.options import resolve_options
from asynctasq.tasks.registry import registry
from asynctasq.worker.engine import Engine, Inspection
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.life import Life
from asynctasq.worker.log_guard import keep_loggers_enabled
from asynctasq.worker.loop_guard import guarded_loop
from asynctasq.worker.options import (
    DEFAULT_HEALTH_HOST,
    MoreOptions,
    WorkerOptions,
    check_options,
    generated_worker_id,
)
from asynctasq.worker.process.child_app import describe_app, refuse_in_child, worker_codec
from asynctasq.worker.process.init_process import FIRST_PID
from asynctasq.worker.process.signals import stop_signals
from asynctasq.worker.timing import WorkerTiming

if TYPE_CHECKING:
    from asynctasq.worker.services.schedules import DeclaredSchedule

logger = logging.getLogger("asynctasq")


class Worker:
    """Fetches messages from one driver and runs their tasks.

        worker = Worker(queues=["emails", "default"], concurrency=50)
        await worker.start()

    The app's settings give the options that are not given here.
    """

    def __init__(
        self,
        queue_driver: Driver | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        max_tasks: int | None = None,
        serializer: str | None = None,
        worker_id: str | None = None,
        heartbeat_interval: float | None = None,
        process_pool_size: int | None = None,
        process_pool_max_tasks_per_child: int | None = None,
        *,
        app: App | None = None,
        burst: bool = False,
        handle_signals: bool = True,
        max_memory: int | None = None,
        health_port: int | None = None,
        health_host: str = DEFAULT_HEALTH_HOST,
        timing: WorkerTiming | None = None,
        **more: Unpack[MoreOptions],
    ) -> None:
        """Make a worker; nothing is opened.

        Args:
            queue_driver: unopened driver; None for the app's driver.
            queues: names in strict order, each `NAME` or `NAME:LIMIT` with its own number of tasks at once;
                None for the setting `queues`, or else the queues of the registered tasks and `default`.
            concurrency: number of tasks at once.
            max_tasks: stop after this number of runs; None for no limit.
            serializer: serializer for results; arguments carry their own serializer name.
            worker_id: unique among the workers of a store; None to generate one from host and process.
            heartbeat_interval: seconds between two renewals of the leases.
            process_pool_size: number of children of the process executor.
            process_pool_max_tasks_per_child: number of runs after which a child is replaced.
            app: None for the app of the enclosing `async with app`, or else the default app.
            burst: stop when there is nothing more to do.
            handle_signals: stop on SIGTERM and SIGINT; works in the main thread only.
            max_memory: stop when this process uses more bytes of memory than this, once the running tasks
                have ended; checked every half second.
            health_port: serve `/livez`, `/readyz` and `/status` over HTTP on this port; 0 for any free port.
            health_host: address to serve them on; localhost by default, as there is no authentication.
            timing: internal durations, for tests; not meant to be set in production.
            more: further options of `WorkerOptions`.

        Raises:
            ConfigurationError: a value is out of range.
        """
        if isinstance(queue_driver, App):
            raise ConfigurationError(
                "queue_driver must be a driver, got an App. Pass the app by name: app=..."
            )
        if app is not None and not isinstance(app, App):
            raise ConfigurationError(f"app must be an App, got {app!r}. Pass app=App(...).")
        if queue_driver is not None:
            check_driver(queue_driver)
        self._app = app
        self._driver = queue_driver
        self.id = worker_id or generated_worker_id()
        self._given = check_options(
            {
                "queues": queues,
                "concurrency": concurrency,
                "max_tasks": max_tasks,
                "serializer": serializer,
                "worker_id": self.id,
                "heartbeat_interval": heartbeat_interval,
                "process_pool_size": process_pool_size,
                "process_pool_max_tasks_per_child": process_pool_max_tasks_per_child,
                "burst": burst,
                "max_memory": max_memory,
                "health_port": health_port,
                "health_host": health_host,
                **more,
            }
        )
        self._handle_signals = handle_signals
        self._timing = timing or WorkerTiming()
        self._life = Life(self._timing.close)
        self._engine: Engine | None = None
        self._stop_asked = False
        self._is_running = False
        self._import_rule = LOADED_ONLY

    @property
    def health(self) -> WorkerHealth | None:
        """Health of the worker; None until `start` has opened the store."""
        return None if self._engine is None else self._engine.health

    @property
    def stuck(self) -> bool:
        """True after `start` if code of a task still runs that could not be interrupted."""
        return self._engine is not None and self._engine.stuck

    def inspect(self) -> Inspection | None:
        """Return the inner state of the worker, for tests; None until `start` has opened the store."""
        return None if self._engine is None else self._engine.inspect()

    async def start(self) -> None:
        """Run until `stop`, a signal, or the end of a burst; then settle and close.

        Raises:
            ConfigurationError: a setting is wrong, or the worker is already running.
            PluginError: a plugin is broken.
            DriverError: the store refused a call, or could not be reached at the start.
        """
        refuse_in_child()
        if self._is_running:
            raise ConfigurationError(
                f"Worker {self.id} is already running. Create a second Worker to run another one."
            )
        app = self._app or current_app()
        before = use_here(app)
        self._is_running = True
        settings = app.settings
        self._import_rule = registry.import_rule(settings.imports, enabled=settings.import_tasks)
        try:
            with (
                app._serving(),
                import_rule(self._import_rule),
                self._signals(),
                self._life.lived_here(),
            ):
                await self._work_for(app)
        finally:
            self._is_running = False
            before.var.reset(before)

    async def _work_for(self, app: App) -> None:
        keep_loggers_enabled()
        if os.getpid() == FIRST_PID:
            logger.warning(
                "The worker runs as process 1, which adopts the processes that tasks leave behind, but it does "
                "not wait for them. Run the program under an init: `docker run --init`, or `init: true`."
            )
        self._engine = None
        self._life.doing = "opening the store"
        if self._driver is None:
            await self._run(app, await app.driver())
            return
        driver = self._driver.clone()
        try:
            await driver.open()
            await self._run(app, driver)
        finally:
            self._life.doing = "closing the store"
            await driver.close()

    def stop(self) -> None:
        """Stop gracefully; the second call interrupts running tasks. Call this on the worker's loop.

        A worker that is still starting cancels its start, and runs nothing.
        """
        self._stop_asked = True
        self._life.cancel_start()
        if self._engine is not None:
            self._engine.stop()

    async def _run(self, app: App, driver: Driver) -> None:
        options = WorkerOptions.complete(
            self._given,
            app.settings,
            default_lease=driver.default_lease,
            queues_of_tasks=lambda: _queues_of_tasks(app),
        )
        self._engine = Engine(
            options,
            driver=driver,
            codec=worker_codec(app, options.serializer),
            resolvers=runtime_of(app).resolvers,
            stores=stores_of(app),
            find_task=registry.find,
            executors=self._executors(app, options),
            observers=runtime_of(app).observers,
            lifespan=partial(app.lifespan, app) if app.lifespan is not None else None,
            life=self._life,
            transactions=runtime_of(app).transactions,
            schedules=_schedules(app, driver, options),
            timing=self._timing,
        )
        runtime_of(app).resolvers.prepare()
        if self._stop_asked:
            self._engine.stop()
        self._announce(app, driver, options)
        with tuned_interpreter(), forks_of_loop(), guarded_loop(), frozen_modules():
            await self._engine.run()
        logger.info("Worker %s stopped", self.id, extra={"worker_id": self.id})

    def _executors(self, app: App, options: WorkerOptions) -> dict[ExecutionMode, Executor]:
        """Return executors of all modes: a task of any mode may be found by its name later."""
        executors: dict[ExecutionMode, Executor] = {}
        for mode in ExecutionMode:
            own = self._process_settings(app, options) if mode is ExecutionMode.PROCESS else {}
            try:
                executors[mode] = app.plugins.create_executor(mode.value, own)
            except PluginNotFound as error:
                names = ", ".join(sorted(each.name for each in registry if each.mode is mode))
                if names:
                    logger.warning("This worker cannot run %s: %s", names, error)
        return executors

    def _process_settings(self, app: App, options: WorkerOptions) -> dict[str, Any]:
        """Return the fields of `ProcessSettings`."""
        settings = app.settings
        return {
            "size": options.process_pool_size,
            "max_tasks_per_child": options.process_pool_max_tasks_per_child,
            "max_memory": settings.process_pool_max_memory,
            "initializer": settings.process_initializer,
            "loop": settings.loop.value,
            "warm": any(each.mode is ExecutionMode.PROCESS for each in registry),
            "arguments": describe_app(app, options.serializer, self._import_rule),
        }

    def _announce(self, app: App, driver: Driver, options: WorkerOptions) -> None:
        logger.info(
            "Worker %s started (store=%s queues=%s concurrency=%d tasks=%s)",
            self.id,
            driver.description,
            ",".join(options.queues),
            options.concurrency,
            ",".join(sorted(each.name for each in registry)) or "none",
            extra={"worker_id": self.id, "concurrency": options.concurrency},
        )
        self._warn_of_imports(app)
        for name, near in _misspelled(options.queues, _queues_of_tasks(app)):
            logger.warning("No registered task uses the queue %r. Did you mean %r?", name, near)
        own = (None, app.settings.driver, app.settings.driver_name)
        for each in registry:
            if each.driver not in own and each.driver is not self._driver:
                name = (
                    each.driver if isinstance(each.driver, str) else type(each.driver).__qualname__
                )
                logger.warning(
                    "Task %s is dispatched to another driver (%s), so this worker does not receive it",
                    each.name,
                    mask_url(name),
                )

    def _warn_of_imports(self, app: App) -> None:
        """Warn about the imports of a worker without modules, or that it cannot run any task."""
        if not logger.hasHandlers():  # an embedded worker prints nothing
            return
        known = "" if len(registry) else "No tasks are registered. "
        if self._import_rule.whole_folder:
            logger.warning(
                "%sNo modules are configured, so messages may make this worker import any Python file under %s. "
                "Name your modules with --app MODULE or the setting `imports`, or disable this with "
                "import_tasks=false (ASYNCTASQ_IMPORT_TASKS).",
                known,
                Path.cwd(),
            )
        elif known and not app.settings.imports:
            logger.warning(
                "%sThe setting import_tasks is off, so this worker cannot run any task. Name your modules "
                "with --app MODULE or the setting `imports`.",
                known,
            )

    def _signals(self) -> AbstractContextManager[None]:
        if not self._handle_signals:
            return nullcontext()
        return stop_signals.passed_to(self._on_signal, timing=self._timing.signals)

    def _on_signal(self, received: signal.Signals) -> None:
        logger.info(
            "Received %s; stopping worker %s", received.name, self.id, extra={"worker_id": self.id}
        )
        self.stop()


def life_of(worker: Worker) -> Life:
    """Return the life of a worker; other threads may read it."""
    return worker._life


def _schedules(
    app: App, driver: Driver, options: WorkerOptions
) -> "Sequence[DeclaredSchedule] | None":
    """Return the schedules that the tasks declare; None for a worker that fires no schedules.

    Raises:
        CapabilityMissing: a task has a schedule, and the driver has none.
    """
    has_some = any(each.timetable is not None for each in registry)
    if options.burst or (not has_some and Capability.SCHEDULES not in driver.capabilities):
        return None
    from asynctasq.worker.declared_schedules import declared_schedules

    return declared_schedules(driver, messages_of(app))


def _queues_of_tasks(app: App) -> list[str]:
    """Return the queues of the registered tasks by name, with the default queue last."""
    queues = {resolve_options(runtime_of(app).defaults, each.options).queue for each in registry}
    return [*sorted(queues - {app.settings.default_queue}), app.settings.default_queue]


def _misspelled(served: Collection[str], of_tasks: Collection[str]) -> Iterator[tuple[str, str]]:
    """Find served queues that no task uses, each with a similar queue of a task that is not served."""
    left_out = [name for name in of_tasks if name not in served]
    for name in served:
        near = get_close_matches(name, left_out, n=1, cutoff=0.75)
        if near and name not in of_tasks:
            yield name, near[0]
