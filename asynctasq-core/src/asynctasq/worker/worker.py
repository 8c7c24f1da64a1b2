"""The worker, for code that runs one: `Worker(...).start()`."""

import logging
import os
import signal
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from asynctasq import __version__
from asynctasq.app import App, runtime_of
from asynctasq.config import mask_url
from asynctasq.config.settings import heartbeat_problem, stall_problem
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
from asynctasq.worker.engine import Engine, EngineSettings
from asynctasq.worker.health import WorkerHealth, worker_reports
from asynctasq.worker.life import Life
from asynctasq.worker.log_guard import keep_loggers_enabled
from asynctasq.worker.loop_guard import guarded_loop
from asynctasq.worker.process.child_app import describe_app, refuse_in_child, worker_codec
from asynctasq.worker.process.init_process import FIRST_PID
from asynctasq.worker.process.signals import stop_signals
from asynctasq.worker.services.health_server import DEFAULT_HEALTH_HOST, HealthServer
from asynctasq.worker.slots import parse_queues

logger = logging.getLogger("asynctasq")


class Worker:
    """Leases messages from one driver and runs their tasks.

        worker = Worker(queues=["emails", "default"], concurrency=50)
        await worker.start()

    What is not given comes from the app's settings.
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
    ) -> None:
        """Make a worker; nothing is opened.

        Args:
            queue_driver: unopened; None for the app's.
            queues: in strict order, each `NAME` or `NAME:LIMIT` with its own number of tasks at once;
                None for the setting `queues`, or else those of the registered tasks and the default.
            concurrency: tasks at once.
            max_tasks: end after that many runs; None for never.
            serializer: of results; arguments name theirs.
            worker_id: unique among the workers of a store; None makes one of host and process.
            heartbeat_interval: seconds between two renewals of the leases.
            process_pool_size: children of the process executor.
            process_pool_max_tasks_per_child: after which a child is replaced.
            app: None for the app of the enclosing `async with app`, or else the default app.
            burst: end when there is nothing more to do.
            handle_signals: stop on SIGTERM and SIGINT, where this is the main thread.
            max_memory: end when this process takes more bytes of memory than that, once tasks that run
                have ended; looked at every half second.
            health_port: serve `/livez`, `/readyz` and `/status` over HTTP there; 0 for any that is free.
            health_host: where to listen; this machine only by default, as nobody is asked who they are.

        Raises:
            ConfigurationError: a value is out of range.
        """
        self._app = app
        self._driver = queue_driver
        self._queues = queues
        self._concurrency = concurrency
        self._max_tasks = max_tasks
        self._serializer = serializer
        self.id = worker_id or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self._heartbeat_interval = heartbeat_interval
        self._process_pool_size = process_pool_size
        self._process_pool_max_tasks_per_child = process_pool_max_tasks_per_child
        self._burst = burst
        self._handle_signals = handle_signals
        self._max_memory = max_memory
        self._health_port = health_port
        self._health_host = health_host
        self._life = Life()
        self._engine: Engine | None = None
        self._stop_asked = False
        self._is_at_work = False
        self._import_rule = LOADED_ONLY
        if isinstance(queue_driver, App):
            raise ConfigurationError(
                "The first argument is a driver. Pass the app by name: app=..."
            )
        if queue_driver is not None:
            check_driver(queue_driver)
        for name, value in [
            ("concurrency", concurrency),
            ("max_tasks", max_tasks),
            ("heartbeat_interval", heartbeat_interval),
            ("max_memory", max_memory),
            ("process_pool_size", process_pool_size),
            ("process_pool_max_tasks_per_child", process_pool_max_tasks_per_child),
        ]:
            if value is not None and value <= 0:
                raise ConfigurationError(f"Worker({name}={value!r}): it has to be more than 0.")
        parse_queues(queues or ())

    @property
    def vitals(self) -> WorkerHealth | None:
        """How it is; None before `start` has begun to work."""
        return None if self._engine is None else self._engine.vitals

    @property
    def stuck(self) -> bool:
        """After `start`: whether code of a task still runs that could not be interrupted."""
        return self._engine is not None and self._engine.stuck

    async def start(self) -> None:
        """Work until `stop`, a signal, or the end of a burst; then settle and close.

        Raises:
            ConfigurationError: a setting is wrong, or it works already.
            PluginError: a plugin is broken.
            DriverError: the store refused, or could not be reached at the start.
        """
        refuse_in_child()
        if self._is_at_work:
            raise ConfigurationError(
                f"Worker {self.id} works already. Make another one, to run beside it."
            )
        app = self._app or current_app()
        before = use_here(app)
        self._is_at_work = True
        settings = app.settings
        self._import_rule = registry.import_rule(settings.imports, enabled=settings.import_tasks)
        try:
            with (
                app._serving(),
                import_rule(self._import_rule),
                stop_signals.told_to(self._on_signal) if self._handle_signals else nullcontext(),
                self._life.lived_here(),
            ):
                await self._work_for(app)
        finally:
            self._is_at_work = False
            before.var.reset(before)

    async def _work_for(self, app: App) -> None:
        keep_loggers_enabled()
        if os.getpid() == FIRST_PID:
            logger.warning(
                "The worker runs in process 1, which adopts the processes that tasks leave behind, and it does "
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
        """Stop gracefully; the second call interrupts what runs. To be called on the worker's loop.

        A worker that is still starting ends its start, and runs nothing.
        """
        self._stop_asked = True
        self._life.cancel_start()
        if self._engine is not None:
            self._engine.stop()

    async def _run(self, app: App, driver: Driver) -> None:
        settings = self._settings(app)
        self._engine = Engine(
            settings,
            driver=driver,
            codec=worker_codec(app, self._serializer),
            resolvers=runtime_of(app).resolvers,
            find_task=registry.find,
            executors=self._executors(app),
            observers=runtime_of(app).observers,
            lifespan=partial(app.lifespan, app) if app.lifespan is not None else None,
            life=self._life,
        )
        runtime_of(app).resolvers.prepare()
        if self._stop_asked:
            self._engine.stop()
        self._announce(app, driver, settings)
        with (
            tuned_interpreter(),
            forks_of_loop(),
            guarded_loop(),
            frozen_modules(),
            self._health(self._engine.vitals),
        ):
            await self._engine.run()
        logger.info("Worker %s has stopped.", self.id)

    @contextmanager
    def _health(self, vitals: WorkerHealth) -> Iterator[None]:
        """Serve it over HTTP, if asked to."""
        if self._health_port is None:
            yield
            return
        with HealthServer(self._health_host, self._health_port, worker_reports(vitals)) as server:
            logger.info("Health is served at http://%s:%d.", self._health_host, server.port)
            yield

    def _settings(self, app: App) -> EngineSettings:
        settings = app.settings
        heartbeat = self._heartbeat_interval or settings.heartbeat
        problem = heartbeat_problem(heartbeat, settings.lease) or stall_problem(
            settings.stall, settings.lease
        )
        if problem:
            raise ConfigurationError(problem)
        return EngineSettings(
            worker_id=self.id,
            queues=parse_queues(self._queues or settings.queues or _queues_of_tasks(app)),
            concurrency=self._concurrency or settings.concurrency,
            max_tasks=self._max_tasks,
            max_memory=self._max_memory,
            lease=settings.lease,
            heartbeat_interval=heartbeat,
            grace_period=settings.grace_period,
            stall_limit=settings.stall,
            mismatch_patience=settings.mismatch_patience,
            burst=self._burst,
            version=__version__,
        )

    def _executors(self, app: App) -> dict[ExecutionMode, Executor]:
        """Of all modes: a task of any may be found by its name later."""
        executors: dict[ExecutionMode, Executor] = {}
        for mode in ExecutionMode:
            own = self._process_settings(app) if mode is ExecutionMode.PROCESS else {}
            try:
                executors[mode] = app.plugins.create_executor(mode.value, own)
            except PluginNotFound as error:
                names = ", ".join(sorted(each.name for each in registry if each.mode is mode))
                if names:
                    logger.warning("This worker cannot run %s: %s", names, error)
        return executors

    def _process_settings(self, app: App) -> dict[str, Any]:
        """The fields of `ProcessSettings`."""
        settings = app.settings
        return {
            "size": self._process_pool_size or settings.process_pool_size,
            "max_tasks_per_child": self._process_pool_max_tasks_per_child
            or settings.process_pool_max_tasks_per_child,
            "max_memory": settings.process_pool_max_memory,
            "initializer": settings.process_initializer,
            "loop": settings.loop.value,
            "warm": any(each.mode is ExecutionMode.PROCESS for each in registry),
            "arguments": describe_app(app, self._serializer, self._import_rule),
        }

    def _announce(self, app: App, driver: Driver, settings: EngineSettings) -> None:
        logger.info(
            "Worker %s serves %s, queues %s, %d at once, tasks %s.",
            self.id,
            driver.description,
            ", ".join(settings.queues),
            settings.concurrency,
            ", ".join(sorted(each.name for each in registry)) or "none yet",
        )
        self._warn_of_imports(app)
        for name, near in _misspelt(settings.queues, _queues_of_tasks(app)):
            logger.warning("No registered task is for the queue %r. Did you mean %r?", name, near)
        own = (None, app.settings.driver, app.settings.driver_name)
        for each in registry:
            if each.driver not in own and each.driver is not self._driver:
                name = (
                    each.driver if isinstance(each.driver, str) else type(each.driver).__qualname__
                )
                logger.warning(
                    "The task %s is dispatched to another driver (%s): this worker does not see it.",
                    each.name,
                    mask_url(name),
                )

    def _warn_of_imports(self, app: App) -> None:
        """Point out what a worker without modules imports, or that it cannot run anything."""
        if not logger.hasHandlers():  # an embedded worker prints nothing of its own
            return
        known = "" if len(registry) else "No tasks are registered. "
        if self._import_rule.whole_folder:
            logger.warning(
                "%sNo modules are named, so messages may make this worker import any Python file under %s. "
                "Name your modules with --app MODULE or the setting `imports`, or turn this off with "
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

    def _on_signal(self, received: signal.Signals) -> None:
        logger.info("%s: worker %s stops.", received.name, self.id)
        self.stop()


def life_of(worker: Worker) -> Life:
    """Return where a worker is between its start and its end; other threads may read it."""
    return worker._life


def _queues_of_tasks(app: App) -> list[str]:
    """The queues of the registered tasks, by name, and the default one last."""
    queues = {resolve_options(runtime_of(app).defaults, each.options).queue for each in registry}
    return [*sorted(queues - {app.settings.default_queue}), app.settings.default_queue]


def _misspelt(served: Collection[str], of_tasks: Collection[str]) -> Iterator[tuple[str, str]]:
    """Queues that are served and belong to no task, each with one of a task's that is left out and
    looks like it."""
    left_out = [name for name in of_tasks if name not in served]
    for name in served:
        near = get_close_matches(name, left_out, n=1, cutoff=0.75)
        if near and name not in of_tasks:
            yield name, near[0]
