"""The executors that run the tasks of a sandbox."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

from asynctasq.app import runtime_of
from asynctasq.errors import TaskFailed
from asynctasq.hookspecs import WorkerContext
from asynctasq.message import Delivery, id_to_text
from asynctasq.runtime import use_here
from asynctasq.settlement import Fail, Release, Retry
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from asynctasq.testing.completion import SandboxCompleter
from asynctasq.testing.in_this_process import InThisProcess
from asynctasq.testing.sandbox_driver import SandboxDriver
from asynctasq.worker.call import Waits
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.notices import Notices
from asynctasq.worker.process.child_app import worker_codec
from asynctasq.worker.run_log import log_failure
from asynctasq.worker.runner import Runner

WORKER_ID = "sandbox"
MAX_THREADS = 10_000
"""Largest number of threads in one drain. Threads start when needed."""

FailureNote = Callable[[bytes, Exception], None]
"""Called with the ID and the exception of a task that became a dead letter."""


OBSERVERS_SECONDS = 5.0
"""Time for observers of settled tasks to end."""


class ExecutorSet:
    """The executors, resources and hooks of one app, opened on one event loop."""

    def __init__(
        self,
        driver: SandboxDriver,
        executor: InThisProcess,
        *,
        resources: object,
        waits: Waits,
        failed: FailureNote,
    ) -> None:
        """Make a set for the running event loop. Tasks run in copies of the current context.

        Args:
            driver: an opened clone.
            executor: a started executor.
            resources: resources of the app's lifespan.
            waits: counts waits for results.
            failed: called for each task that becomes a dead letter.
        """
        self.app = driver.app
        self.driver = driver
        self.context = contextvars.copy_context()
        self.context.run(current_set.set, self)
        self.loop = asyncio.get_running_loop()
        self.guests = 0
        """Number of inline dispatches within tasks of this set that wait for their tasks."""
        self._executor = executor
        self._failed = failed
        self.notices = Notices(runtime_of(self.app).observers, WORKER_ID)
        """Notify the observers of the runs."""
        self._runner = Runner(
            codec=worker_codec(self.app, None),
            resolvers=runtime_of(self.app).resolvers,
            find_task=registry.find,
            executors=dict.fromkeys(ExecutionMode, executor),
            notices=self.notices,
            resources=resources,
            report=lambda delivery, progress: driver.note_progress(delivery.lease, progress),
            mismatch_patience=0.0,
            waits=waits,
            completer=SandboxCompleter(driver, runtime_of(self.app).transactions),
        )

    async def run(self, running: InFlightMessage) -> None:
        """Run and settle one delivery."""
        running.started_at = asyncio.get_running_loop().time()
        try:
            settlement = await self._runner.run(running)
        except asyncio.CancelledError:
            settlement = Release(running.delivery.lease)
        settled = self.notices.settled
        if settlement is None:
            if settled.observed:
                settled.completed(running)
            return
        answers = await self.driver.settle([settlement])
        if settled.observed:
            settled.answered([(running, settlement)], answers)
        if isinstance(settlement, Retry):
            _log_retry(running.delivery, settlement)
        if isinstance(settlement, Fail):
            message_id = running.delivery.message.id
            raised = self._executor.raised.pop(message_id, None)
            self._failed(message_id, raised or _task_failed(message_id, settlement))


def _log_retry(delivery: Delivery, retry: Retry) -> None:
    """Log a failure that a test could not see otherwise."""
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
    """Return an exception for a task that failed before it ran, such as one with an unknown name."""
    error = fail.error
    cause = "" if error is None else f": {error.type}: {error.message}"
    return TaskFailed(
        f"Task {id_to_text(message_id)} is dead ({fail.reason.value}){cause}",
        reason=fail.reason.value,
        error_type="" if error is None else error.type,
        error_message="" if error is None else error.message,
        traceback="" if error is None else error.traceback,
    )


current_set: ContextVar[ExecutorSet | None] = ContextVar("asynctasq_sandbox_set", default=None)
"""The set that runs the current task."""


@asynccontextmanager
async def executor_set_for(
    store: SandboxDriver, waits: Waits, failed: FailureNote
) -> AsyncIterator[ExecutorSet]:
    """Open executors for a store. A task that dispatches inline shares those that run it."""
    app = store.app
    outer = current_set.get()
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
            # The drain limits the running tasks, without those that wait for a result.
            await executor.start(concurrency=MAX_THREADS)
            lifespan = app.lifespan
            resources = None if lifespan is None else await stack.enter_async_context(lifespan(app))
            executors = ExecutorSet(
                driver, executor, resources=resources, waits=waits, failed=failed
            )
            async with _observed(executors):
                yield executors
    finally:
        await driver.close()
        before.var.reset(before)


@asynccontextmanager
async def _observed(executors: ExecutorSet) -> AsyncIterator[None]:
    """Notify observers of the start and stop of a worker, as outside of a sandbox."""
    observers = runtime_of(executors.app).observers
    context = WorkerContext(
        WORKER_ID, tuple(executors.driver.queue_names()), executors.app.settings.concurrency
    )
    await observers.notify(observers.worker_started, context)
    try:
        yield
    finally:
        await observers.notify(observers.worker_stopping, context)
        await executors.notices.finish(OBSERVERS_SECONDS)
        await observers.notify(observers.worker_stopped, context)
