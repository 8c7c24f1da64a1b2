"""Running tasks in this process without a worker around them: no polling, no threads of its own."""

import asyncio
import contextvars
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

from asynctasq.app import App
from asynctasq.default import use_here
from asynctasq.errors import TaskFailed
from asynctasq.hookspecs import WorkerContext
from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import Fail, Release, Retry
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from asynctasq.testing.callers_thread import is_django_loaded
from asynctasq.testing.in_this_process import InThisProcess
from asynctasq.testing.sandbox_driver import SandboxDriver
from asynctasq.worker.call import WorkerCall
from asynctasq.worker.in_flight import InFlightMessage, Interrupt
from asynctasq.worker.notices import Notices
from asynctasq.worker.process.child_app import worker_codec
from asynctasq.worker.run_log import log_failure
from asynctasq.worker.runner import Runner

WORKER_ID = "sandbox"
MOST_THREADS = 10_000
"""Threads of one drain, each started when it is needed."""
LEASE_SECONDS = 1e9
"""Longer than any clock is moved: what runs here cannot be lost."""

FailureNote = Callable[[bytes, Exception], None]
"""Told of each task that has failed for good, and of its exception."""


class Runs:
    """What runs in a sandbox at the moment, on whichever event loop."""

    def __init__(self) -> None:
        self._running: dict[bytes, tuple[Drain, InFlightMessage]] = {}
        self._drains: set[Drain] = set()
        self._active_at = time.monotonic()

    def changed(self) -> None:
        """There may be something to run. From any thread."""
        self._active_at = time.monotonic()
        for drain in list(self._drains):
            drain.notice()

    def seconds_idle(self) -> float:
        """For how long nothing has been running."""
        return 0.0 if self._drains else time.monotonic() - self._active_at

    def interrupt(self, message_id: bytes) -> None:
        """End a run that was cancelled. From any thread."""
        found = self._running.get(message_id)
        if found is not None:
            drain, running = found
            drain.loop.call_soon_threadsafe(running.end_early, Interrupt.CANCEL)

    @asynccontextmanager
    async def waiting(self, call: WorkerCall, message_id: bytes) -> AsyncIterator[None]:
        """Let another task run while one waits for a result. On any event loop."""
        found = self._running.get(call.delivery.message.id)
        if found is None:  # work in the background of a task that has ended
            yield
            return
        drain, running = found
        if is_django_loaded() and not call.definition.is_async:
            await drain.refuse_deadlock(running, message_id)
        drain.note_wait(running, 1)
        try:
            yield
        finally:
            drain.note_wait(running, -1)

    def note(self, call: WorkerCall, message_id: bytes, *, begins: bool) -> None:
        """Nothing runs in other processes here."""

    def begins(self, running: InFlightMessage, drain: "Drain") -> None:
        self._running[running.delivery.message.id] = (drain, running)

    def ends(self, running: InFlightMessage) -> None:
        self._running.pop(running.delivery.message.id, None)

    def joins(self, drain: "Drain") -> None:
        self._drains.add(drain)

    def leaves(self, drain: "Drain") -> None:
        self._drains.discard(drain)
        self.changed()


class Drain:
    """Runs what is ready in the stores of a sandbox, until nothing is."""

    def __init__(
        self,
        stores: Callable[[], Iterable[SandboxDriver]],
        runs: Runs,
        *,
        queues: Collection[str] | None = None,
        concurrency: int | None = None,
        most: int,
        failed: FailureNote,
    ) -> None:
        """Make a drain for the running loop.

        Args:
            stores: asked again and again: tasks may use further apps.
            runs: where each run is noted.
            queues: only these; None for all.
            concurrency: tasks of one app at once; None for its setting.
            most: runs after which something must be wrong.
            failed: told of tasks that have failed for good.
        """
        self._stores = stores
        self._noted = runs
        self._queues = queues
        self._concurrency = concurrency
        self._most = most
        self._failed = failed
        self.loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._crews: dict[App, ExecutorSet] = {}
        self._running: Counter[ExecutorSet] = Counter()
        """Without tasks that wait for a result: others may run meanwhile."""
        self._waits: Counter[InFlightMessage] = Counter()
        self._crew_of: dict[InFlightMessage, ExecutorSet] = {}
        self._tasks: dict[asyncio.Task[None], InFlightMessage] = {}
        self._count = 0

    def notice(self) -> None:
        """Look again. From any thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._changed.set)

    async def refuse_deadlock(self, running: InFlightMessage, message_id: bytes) -> None:
        """Make sure that a sync task does not wait for a task that needs the same thread.

        Raises:
            RuntimeError: it does.
        """
        [snapshot] = await self._crew_of[running].driver.find([message_id])
        inner = snapshot.message.task if snapshot is not None else ""
        if registry.knows(inner) and not registry.find(inner).is_async:
            raise RuntimeError(
                f"{running.delivery.message.task} waits for {inner} in the thread that has to run that: with "
                f"Django, a sandbox runs sync tasks in the thread of the test. Make one of them async."
            )

    def note_wait(self, running: InFlightMessage, change: int) -> None:
        """Count the waits of a running task for results. From any thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._note_wait, running, change)

    def _note_wait(self, running: InFlightMessage, change: int) -> None:
        crew = self._crew_of.get(running)
        if crew is None:  # its run has ended
            return
        before = self._waits[running]
        self._waits[running] += change
        if not before:
            self._running[crew] -= 1
        elif not self._waits[running]:
            self._running[crew] += 1
        self._changed.set()

    async def run(self, move_on: Callable[[], bool]) -> int:
        """Run until nothing is ready; returns the number of runs.

        Args:
            move_on: called when nothing is ready and nothing runs; True if it has moved the clock on.

        Raises:
            AssertionError: there were more runs than `most`.
        """
        self._noted.joins(self)
        try:
            async with AsyncExitStack() as stack:
                try:
                    while await self._begin(stack) or self._is_busy or move_on():
                        if self._is_busy:
                            await self._until_something_ends()
                finally:
                    await self._stop()
        finally:
            self._noted.leaves(self)
        return self._count

    @property
    def _is_busy(self) -> bool:
        guests = any(crew.guests for crew in self._crews.values() if crew is not at_work.get())
        return bool(self._tasks) or guests

    async def _begin(self, stack: AsyncExitStack) -> bool:
        """Begin what is ready, as far as there is room; False if nothing is."""
        self._changed.clear()
        begun = False
        for store in list(self._stores()):
            crew = self._crews.get(store.app)
            if crew is None:
                crew = await stack.enter_async_context(crew_for(store, self._noted, self._failed))
                self._crews[store.app] = crew
            for delivery in await self._reserve(crew):
                begun = True
                self._begin_one(crew, delivery)
        return begun

    async def _reserve(self, crew: "ExecutorSet") -> list[Delivery]:
        room = (self._concurrency or crew.app.settings.concurrency) - self._running[crew]
        names = crew.driver.queue_names()
        if self._queues is not None:
            names = [name for name in names if name in self._queues]
        if room < 1 or not names:
            return []
        return await crew.driver.reserve(
            dict.fromkeys(names, room), limit=room, owner=WORKER_ID, lease=LEASE_SECONDS
        )

    def _begin_one(self, crew: "ExecutorSet", delivery: Delivery) -> None:
        running = InFlightMessage(delivery)
        self._count += 1
        self._running[crew] += 1
        self._crew_of[running] = crew
        task = self.loop.create_task(crew.run(running), context=crew.context.copy())
        running.task = task
        self._tasks[task] = running
        self._noted.begins(running, self)

        def ended(_: asyncio.Task[None]) -> None:
            del self._crew_of[running]
            if not self._waits.pop(running, 0):
                self._running[crew] -= 1
            self._noted.ends(running)

        task.add_done_callback(ended)

    async def _until_something_ends(self) -> None:
        """Or until something else is ready."""
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([*self._tasks, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()
        if self._count > self._most:
            names = sorted({each.delivery.message.task for each in self._tasks.values()})
            raise AssertionError(
                f"There is no end: {self._count} runs of tasks so far, now of "
                f"{', '.join(names) or 'none'}. Do they dispatch or retry each other for ever? "
                f"`drain(most=...)` allows more."
            )

    async def _stop(self) -> None:
        """Interrupt what still runs, and give it back."""
        for task, running in self._tasks.items():
            if not task.done():
                running.end_early(Interrupt.STOP)
        if self._tasks:
            await asyncio.wait(self._tasks)


class ExecutorSet:
    """Executors, resources and hooks of one app, opened on one event loop."""

    def __init__(
        self,
        driver: SandboxDriver,
        executor: InThisProcess,
        *,
        resources: object,
        runs: Runs,
        failed: FailureNote,
    ) -> None:
        """Make a crew for the running loop, and for tasks in a copy of the current context.

        Args:
            driver: an opened clone.
            executor: started.
            resources: what the app's lifespan has given.
            runs: where waits for results are noted.
            failed: told of tasks that have failed for good.
        """
        self.app = driver.app
        self.driver = driver
        self.context = contextvars.copy_context()
        self.context.run(at_work.set, self)
        self.loop = asyncio.get_running_loop()
        self.guests = 0
        """Dispatches within tasks of this crew that wait for their own tasks to end."""
        self._executor = executor
        self._failed = failed
        self._runner = Runner(
            codec=worker_codec(self.app, None),
            resolvers=self.app.resolvers,
            find_task=registry.find,
            executors=dict.fromkeys(ExecutionMode, executor),
            notices=Notices(self.app.observers, WORKER_ID),
            resources=resources,
            report=lambda delivery, progress: driver.note_progress(delivery.lease, progress),
            mismatch_patience=0.0,
            waits=runs,
        )

    async def run(self, running: InFlightMessage) -> None:
        """Run one delivery, and settle it."""
        running.started_at = asyncio.get_running_loop().time()
        try:
            settlement = await self._runner.run(running)
        except asyncio.CancelledError:
            settlement = Release(running.delivery.lease)
        if settlement is None:
            return
        await self.driver.settle([settlement])
        if isinstance(settlement, Retry):
            _log_retry(running.delivery, settlement)
        if isinstance(settlement, Fail):
            message_id = running.delivery.message.id
            raised = self._executor.raised.pop(message_id, None)
            self._failed(message_id, raised or _task_failed(message_id, settlement))


def _log_retry(delivery: Delivery, retry: Retry) -> None:
    """Show a failure that a test would otherwise only see as a task that has not done its work."""
    log_failure(
        logging.WARNING,
        "Task %s of %s failed and will run again in %g s: %s: %s",
        id_to_text(delivery.message.id),
        delivery.message.task,
        retry.delay,
        retry.error.type,
        retry.error.message,
        error=retry.error,
        exception=None,
    )


def _task_failed(message_id: bytes, fail: Fail) -> TaskFailed:
    """For what never came to raise anything itself: a name that is unknown, arguments that do not fit."""
    error = fail.error
    told = "" if error is None else f": {error.type}: {error.message}"
    return TaskFailed(
        f"Task {id_to_text(message_id)} is dead ({fail.reason.value}){told}",
        reason=fail.reason.value,
        error_type="" if error is None else error.type,
        error_message="" if error is None else error.message,
        traceback="" if error is None else error.traceback,
    )


at_work: ContextVar[ExecutorSet | None] = ContextVar("asynctasq_sandbox_crew", default=None)
"""Whose task this code runs in."""


@asynccontextmanager
async def crew_for(
    store: SandboxDriver, runs: Runs, failed: FailureNote
) -> AsyncIterator[ExecutorSet]:
    """Those who run the tasks of a store: of a task that dispatches, the ones who run it."""
    app = store.app
    outer = at_work.get()
    if outer is not None and outer.app is app and outer.loop is asyncio.get_running_loop():
        outer.guests += 1
        try:
            yield outer
        finally:
            outer.guests -= 1
        return
    before = use_here(app)
    driver = store.clone()
    executor = InThisProcess(app)
    try:
        await driver.open()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(executor.stop)
            # The drain limits how many run; those that wait for a result do not count.
            await executor.start(concurrency=MOST_THREADS)
            lifespan = app.lifespan
            resources = None if lifespan is None else await stack.enter_async_context(lifespan(app))
            crew = ExecutorSet(driver, executor, resources=resources, runs=runs, failed=failed)
            async with _announced(crew):
                yield crew
    finally:
        await driver.close()
        before.var.reset(before)


@asynccontextmanager
async def _announced(crew: ExecutorSet) -> AsyncIterator[None]:
    """Tell the observers that a worker starts and stops, for that is what they are to see."""
    observers = crew.app.observers
    context = WorkerContext(
        WORKER_ID, tuple(crew.driver.queue_names()), crew.app.settings.concurrency
    )
    await observers.notify(observers.worker_started, context)
    try:
        yield
    finally:
        await observers.notify(observers.worker_stopping, context)
        await observers.notify(observers.worker_stopped, context)
