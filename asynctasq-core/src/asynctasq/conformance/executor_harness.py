"""The worker with which the checks of an executor work."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asynctasq.app import App
from asynctasq.conformance import executor_tasks as tasks
from asynctasq.contracts.executor import Executor
from asynctasq.hookspecs import ExecutionContext, hookimpl
from asynctasq.tasks.context import CurrentTask
from asynctasq.worker.worker import Worker

if TYPE_CHECKING:
    from asynctasq.conformance.executors import ExecutorConformance

E = TypeVar("E", bound=BaseException)

AT_ONCE = 2
"""Slots of the worker."""
LOOK_SECONDS = 0.01
"""Pause between two looks at what another process writes."""
KINDS: dict[str, tuple[type[Any], ...]] = {
    "loop": (tasks.InLoop,),
    "thread": (tasks.InThread,),
    "process": (tasks.InProcess, tasks.AsyncInProcess),
}


class ExecutorHarness:
    """A worker on a memory driver that runs tasks with the executor, and notes their outcomes."""

    def __init__(self, suite: "ExecutorConformance", app: App) -> None:
        self.suite = suite
        self.app = app
        self.outcomes: list[object] = []
        """Each `AttemptResult`, in the order in which the attempts ended."""
        self.settings: Any = None
        """The settings that the worker passed to `create_executor`."""
        self.worker: Worker

    @property
    def kinds(self) -> Sequence[type[Any]]:
        """The task classes of the mode."""
        return KINDS[self.suite.mode]

    def folder(self, kind: type[Any]) -> Path:
        """Return the folder of one task class."""
        folder = self.suite.folder / kind.__name__
        folder.mkdir(exist_ok=True)
        return folder

    def task(self, kind: type[Any], behavior: str, argument: Any = None, **options: Any) -> Any:
        """Return a task with this behavior (a function of `executor_tasks`)."""
        made = kind(
            behavior=behavior,
            folder=str(self.folder(kind)),
            argument=argument,
            patience=self.suite.patience / 2,
        )
        return made.options(**{"result_ttl": 600, "retry_delay": 0, **options})

    async def dispatch(self, task: Any) -> Any:
        """Dispatch a task, and return its handle."""
        return await self.app.dispatch(task)

    async def result(self, task: Any) -> Any:
        """Dispatch a task, and return its result."""
        return await (await self.dispatch(task)).result(timeout=self.suite.patience)

    async def error(self, task: Any, kind: type[E]) -> E:
        """Dispatch a task, and return the error that its result raises."""
        return await self.error_of(await self.dispatch(task), kind)

    async def error_of(self, handle: Any, kind: type[E]) -> E:
        """Return the error that a result raises."""
        try:
            result = await handle.result(timeout=self.suite.patience)
        except kind as error:
            return error
        raise AssertionError(f"the result is {result!r}, instead of {kind.__name__}")

    async def noted(self, kind: type[Any], name: str, count: int = 1) -> list[str]:
        """Wait until a task has written so many lines, and return them."""
        while len(found := tasks.lines(self.folder(kind), name)) < count:  # noqa: ASYNC110  another process may write
            await asyncio.sleep(LOOK_SECONDS)
        return found


class _Plugin:
    """The executor plugin of the check, and an observer of its attempts."""

    def __init__(self, harness: ExecutorHarness) -> None:
        self._harness = harness

    @hookimpl
    def create_executor(self, settings: Any) -> Executor:
        self._harness.settings = settings
        return self._harness.suite.make_executor(settings)

    @hookimpl
    @contextmanager
    def wrap_task(self, task: CurrentTask) -> Iterator[None]:
        token = tasks.surrounding.set((task.id, threading.get_ident()))
        try:
            yield
        finally:
            tasks.surrounding.reset(token)

    @hookimpl
    def after_execute(self, context: ExecutionContext) -> None:
        self._harness.outcomes.append(context.attempt)


@asynccontextmanager
async def harness_of(suite: "ExecutorConformance") -> AsyncIterator[ExecutorHarness]:
    """Yield the harness of a check."""
    app = App(
        {
            "driver": "memory",
            "disable_plugins": [f"executor:{mode}" for mode in KINDS],
            "process_pool_size": AT_ONCE,
            "grace_period": 1.0,
        }
    )
    harness = ExecutorHarness(suite, app)
    plugin = _Plugin(harness)
    app.plugins.register(plugin, kind="executor", name=suite.mode)
    app.plugins.register(plugin)
    async with app:
        harness.worker = Worker(app=app, handle_signals=False, concurrency=AT_ONCE)
        working = asyncio.create_task(harness.worker.start())
        try:
            yield harness
        finally:
            harness.worker.stop()
            await working
    app.close_sync()
