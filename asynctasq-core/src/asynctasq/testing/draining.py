"""Running the tasks of a sandbox in this process, without a worker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from asynctasq.app import App
from asynctasq.message import Delivery
from asynctasq.tasks.registry import registry
from asynctasq.testing.callers_thread import is_django_loaded
from asynctasq.testing.executor_set import (
    WORKER_ID,
    ExecutorSet,
    FailureNote,
    current_set,
    executor_set_for,
)
from asynctasq.testing.sandbox_driver import SandboxDriver
from asynctasq.worker.call import WorkerCall
from asynctasq.worker.in_flight import InFlightMessage, Interrupt

LEASE_SECONDS = 1e9
"""Longer than any test moves the clock, so that no running task is lost."""


class Runs:
    """The running tasks of a sandbox, on all event loops."""

    def __init__(self) -> None:
        self._running: dict[bytes, tuple[Drain, InFlightMessage]] = {}
        self._drains: set[Drain] = set()
        self._active_at = time.monotonic()

    def changed(self) -> None:
        """Note that a task may be ready. Thread-safe."""
        self._active_at = time.monotonic()
        for drain in list(self._drains):
            drain.notice()

    def seconds_idle(self) -> float:
        """Return the time since the last drain."""
        return 0.0 if self._drains else time.monotonic() - self._active_at

    def interrupt(self, message_id: bytes) -> None:
        """Interrupt a cancelled task. Thread-safe."""
        found = self._running.get(message_id)
        if found is not None:
            drain, running = found
            drain.loop.call_soon_threadsafe(running.end_early, Interrupt.CANCEL)

    @asynccontextmanager
    async def waiting(self, call: WorkerCall, message_id: bytes) -> AsyncIterator[None]:
        """Let another task run while this one waits for a result. Works on any event loop."""
        found = self._running.get(call.delivery.message.id)
        if found is None:  # background work of a finished task
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
        """Do nothing: no task runs in another process."""

    def add(self, running: InFlightMessage, drain: "Drain") -> None:
        """Add a running task."""
        self._running[running.delivery.message.id] = (drain, running)

    def remove(self, running: InFlightMessage) -> None:
        """Remove a finished task."""
        self._running.pop(running.delivery.message.id, None)

    def add_drain(self, drain: "Drain") -> None:
        """Add a drain that has started."""
        self._drains.add(drain)

    def remove_drain(self, drain: "Drain") -> None:
        """Remove a drain that has finished."""
        self._drains.discard(drain)
        self.changed()


class Drain:
    """Runs the ready tasks of a sandbox until none is left."""

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
        """Make a drain for the running event loop.

        Args:
            stores: returns the stores; called repeatedly, because tasks may use further apps.
            runs: the running tasks of the sandbox.
            queues: run only tasks of these queues; None for all.
            concurrency: largest number of running tasks per app; None for its setting.
            most: number of runs after which the drain fails.
            failed: called for each task that becomes a dead letter.
        """
        self._stores = stores
        self._runs = runs
        self._queues = queues
        self._concurrency = concurrency
        self._most = most
        self._failed = failed
        self.loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._sets: dict[App, ExecutorSet] = {}
        self._running: Counter[ExecutorSet] = Counter()
        """Running tasks without those that wait for a result, so that others can run."""
        self._waits: Counter[InFlightMessage] = Counter()
        self._set_of: dict[InFlightMessage, ExecutorSet] = {}
        self._tasks: dict[asyncio.Task[None], InFlightMessage] = {}
        self._count = 0

    def notice(self) -> None:
        """Look for ready tasks again. Thread-safe."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._changed.set)

    async def refuse_deadlock(self, running: InFlightMessage, message_id: bytes) -> None:
        """Check that a sync task does not wait for a task that needs the same thread.

        Raises:
            RuntimeError: the tasks would wait for each other.
        """
        [snapshot] = await self._set_of[running].driver.find([message_id])
        inner = snapshot.message.task if snapshot is not None else ""
        if registry.knows(inner) and not registry.find(inner).is_async:
            raise RuntimeError(
                f"{running.delivery.message.task} waits for {inner}, which needs the same thread: with Django, "
                f"a sandbox runs sync tasks in the thread of the test. Make one of the tasks async."
            )

    def note_wait(self, running: InFlightMessage, change: int) -> None:
        """Count the results for which a running task waits. Thread-safe."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._note_wait, running, change)

    def _note_wait(self, running: InFlightMessage, change: int) -> None:
        executors = self._set_of.get(running)
        if executors is None:  # the task has finished
            return
        before = self._waits[running]
        self._waits[running] += change
        if not before:
            self._running[executors] -= 1
        elif not self._waits[running]:
            self._running[executors] += 1
        self._changed.set()

    async def run(self, move_on: Callable[[], bool]) -> int:
        """Run tasks until none is ready, and return the number of runs.

        Args:
            move_on: called when no task is ready or running; returns True if it moved the clock.

        Raises:
            AssertionError: there were more runs than `most`.
        """
        self._runs.add_drain(self)
        try:
            async with AsyncExitStack() as stack:
                try:
                    while await self._start(stack) or self._is_busy or move_on():
                        if self._is_busy:
                            await self._until_change()
                finally:
                    await self._stop()
        finally:
            self._runs.remove_drain(self)
        return self._count

    @property
    def _is_busy(self) -> bool:
        guests = any(
            executors.guests
            for executors in self._sets.values()
            if executors is not current_set.get()
        )
        return bool(self._tasks) or guests

    async def _start(self, stack: AsyncExitStack) -> bool:
        """Start ready tasks up to the concurrency; return False if there were none."""
        self._changed.clear()
        started = False
        for store in list(self._stores()):
            executors = self._sets.get(store.app)
            if executors is None:
                executors = await stack.enter_async_context(
                    executor_set_for(store, self._runs, self._failed)
                )
                self._sets[store.app] = executors
            for delivery in await self._reserve(executors):
                started = True
                self._start_one(executors, delivery)
        return started

    async def _reserve(self, executors: "ExecutorSet") -> list[Delivery]:
        room = (self._concurrency or executors.app.settings.concurrency) - self._running[executors]
        names = executors.driver.queue_names()
        if self._queues is not None:
            names = [name for name in names if name in self._queues]
        if room < 1 or not names:
            return []
        return await executors.driver.reserve(
            dict.fromkeys(names, room), limit=room, owner=WORKER_ID, lease=LEASE_SECONDS
        )

    def _start_one(self, executors: "ExecutorSet", delivery: Delivery) -> None:
        running = InFlightMessage(delivery)
        self._count += 1
        self._running[executors] += 1
        self._set_of[running] = executors
        task = self.loop.create_task(executors.run(running), context=executors.context.copy())
        running.task = task
        self._tasks[task] = running
        self._runs.add(running, self)

        def ended(_: asyncio.Task[None]) -> None:
            del self._set_of[running]
            if not self._waits.pop(running, 0):
                self._running[executors] -= 1
            self._runs.remove(running)

        task.add_done_callback(ended)

    async def _until_change(self) -> None:
        """Wait until a task finishes or another one is ready."""
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
                f"drain() has not finished after {self._count} runs. Running: "
                f"{', '.join(names) or 'none'}. Tasks may dispatch or retry each other forever; to allow "
                f"more runs, pass `drain(most=...)`."
            )

    async def _stop(self) -> None:
        """Interrupt and release running tasks."""
        for task, running in self._tasks.items():
            if not task.done():
                running.end_early(Interrupt.STOP)
        if self._tasks:
            await asyncio.wait(self._tasks)
