"""Sandboxes for tests of applications: dispatched tasks reach no store."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from math import inf
from types import TracebackType
from typing import Any, Self

from asynctasq.app import App
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.driver_override import override_drivers
from asynctasq.message import Message
from asynctasq.testing.callers_thread import marked_async, run_in_sync_code
from asynctasq.testing.clock import Clock, seconds_of
from asynctasq.testing.dispatched import AnyTask, Dispatched, Expectation, report, what_was_sent
from asynctasq.testing.draining import Drain, Runs
from asynctasq.testing.sandbox_driver import SandboxDriver

MOST_RUNS = 10_000
"""Default for the largest number of runs in one drain."""
PATIENCE_SECONDS = 3.0
"""Default for the time for which a result is awaited while no task runs."""


class Sandbox:
    """Collects the tasks that any app of this process dispatches, instead of a store.

        with Sandbox() as sandbox:
            await sign_up("ada@example.com")
            sandbox.assert_dispatched(send_welcome(to="ada@example.com"))
            await sandbox.drain()

    Tasks run when you call `drain`, or within `dispatch` if the sandbox is `inline`. They run as in a
    worker: arguments and results are serialized, hooks are called, and failures are retried. Process
    tasks run in this process, too.
    """

    def __init__(
        self, *, inline: bool = False, raises: bool = False, patience: float = PATIENCE_SECONDS
    ) -> None:
        """Make a sandbox; `with` opens it.

        Args:
            inline: let `dispatch` run the task, with its retries, before it returns. Tasks with a
                delay wait.
            raises: let `drain` (or `dispatch`, if inline) raise the exception of a task that becomes a
                dead letter.
            patience: seconds for which a result is awaited while no task runs. Then, awaiting it raises a
                `DriverError` that names `drain`.
        """
        self._patience = patience
        self.inline = inline
        self.raises = raises
        self.clock = Clock(self._moved)
        self._dispatched: list[Dispatched] = []
        self._stores: dict[App, SandboxDriver] = {}
        self._failures: dict[bytes, Exception] = {}
        self._runs = Runs()
        self._unawaited: set[object] = set()
        """Calls of `drain` whose coroutine has not started."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(override_drivers(self._driver_for))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        if self._unawaited and kind is None:
            raise AssertionError(
                "drain() was called but not awaited, so no task ran. Use `await sandbox.drain()`, or "
                "`sandbox.drain_sync()` without an event loop."
            )

    @property
    def dispatched(self) -> Sequence[Dispatched]:
        """All dispatches in order, including those by tasks, but not those dropped by a unique key."""
        return tuple(self._dispatched)

    def assert_dispatched(
        self, task: AnyTask, *, times: int | None = None, queue: str | None = None
    ) -> Sequence[Dispatched]:
        """Check that a task was dispatched, and return its dispatches.

        Args:
            task: a task with arguments (`send_email(to="a@b.c")`), which must be equal; `mock.ANY`
                equals any argument. Options of the task (`.delay(60)`) must be equal, too. A task
                without arguments (`send_email`) or a name matches every dispatch of the task.
            times: expected number of dispatches; None for at least one.
            queue: expected queue; None for any.

        Raises:
            AssertionError: there is no such dispatch, or another number of them. The message lists
                all dispatches.
        """
        expected = Expectation(task, queue=queue)
        found = [
            each
            for each in self._dispatched
            if each.name == expected.name and not expected.differences(each)
        ]
        if not found if times is None else len(found) != times:
            raise AssertionError(report(expected, self._dispatched, found=len(found), wanted=times))
        return found

    def assert_not_dispatched(
        self, task: AnyTask | None = None, *, queue: str | None = None
    ) -> None:
        """Check that a task was not dispatched; without an argument, that no task was.

        Raises:
            AssertionError: the task was dispatched.
        """
        if task is not None:
            self.assert_dispatched(task, times=0, queue=queue)
            return
        found = [each for each in self._dispatched if queue in {None, each.queue}]
        if found:
            lines = [f"  {number}. {each}" for number, each in enumerate(found, start=1)]
            raise AssertionError("\n".join(["No task must be dispatched, but these were:", *lines]))

    @marked_async
    def drain(
        self,
        *,
        until: float | timedelta | datetime | None = None,
        queues: Collection[str] | None = None,
        concurrency: int | None = None,
        most: int = MOST_RUNS,
    ) -> Coroutine[Any, Any, int]:
        """Run the ready tasks and the tasks that they dispatch, and return the number of runs.

        You must await the call; otherwise the sandbox raises an `AssertionError` when it closes.

        Args:
            until: also run tasks that become due within this time (seconds or a timedelta) or until
                this datetime. The clock moves from one due time to the next, and then to the end.
                `math.inf` runs tasks until none is left.
            queues: run only tasks of these queues; None for all.
            concurrency: largest number of running tasks; None for the setting of the app. With 1,
                tasks run one after the other.
            most: number of runs after which the drain fails.

        Raises:
            AssertionError: there were more runs than `most`.
            Exception: if the sandbox `raises`, the exception of a failed task, or an `ExceptionGroup`
                of several.
        """
        call = object()
        self._unawaited.add(call)
        return self._drain(call, until=until, queues=queues, concurrency=concurrency, most=most)

    async def _drain(
        self,
        call: object,
        *,
        until: float | timedelta | datetime | None,
        queues: Collection[str] | None,
        concurrency: int | None,
        most: int,
    ) -> int:
        self._unawaited.discard(call)
        end = self._end_of(until)
        drain = Drain(
            self._stores.values,
            self._runs,
            queues=queues,
            concurrency=concurrency,
            most=most,
            failed=self._failures.__setitem__,
        )
        try:
            runs = await drain.run(lambda: self._move_to(self._next_due(), end))
            if end < inf:
                self.clock.move_to(end)
        finally:
            failures = [*self._failures.values()]
            self._failures.clear()
        if failures and self.raises:
            raise failures[0] if len(failures) == 1 else ExceptionGroup("tasks failed", failures)
        return runs

    def drain_sync(
        self,
        *,
        until: float | timedelta | datetime | None = None,
        queues: Collection[str] | None = None,
        concurrency: int | None = None,
        most: int = MOST_RUNS,
    ) -> int:
        """Run tasks as `drain` does, in tests without an event loop.

        Raises:
            RuntimeError: an event loop runs in this thread. Use `await sandbox.drain()`.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "An event loop is running in this thread. Use `await sandbox.drain()`."
            )

        async def drain() -> int:
            try:
                return await self.drain(
                    until=until, queues=queues, concurrency=concurrency, most=most
                )
            finally:
                for app in list(self._stores):
                    await app.close()

        return run_in_sync_code(drain)

    def clear(self) -> None:
        """Delete all dispatches and waiting tasks."""
        self._dispatched.clear()
        self._failures.clear()
        for store in self._stores.values():
            store.empty()

    def _end_of(self, until: float | timedelta | datetime | None) -> float:
        match until:
            case None:
                return -inf
            case datetime():
                return until.timestamp()
            case _:
                return self.clock.time() + seconds_of(until)

    def _next_due(self) -> float:
        return min((store.next_due() for store in self._stores.values()), default=inf)

    def _move_to(self, when: float, end: float) -> bool:
        """Move the clock; return False if no task becomes due before the end."""
        if when == inf or when > end:
            return False
        self.clock.move_to(when)
        return True

    def _moved(self) -> None:
        for store in self._stores.values():
            store.time_moved()
        self._runs.changed()

    def _driver_for(self, app: App, template: Driver) -> Driver:
        store = self._stores.get(app)
        if store is None:
            store = self._stores[app] = SandboxDriver(app, _Watching(self), self.clock)
        return store.like(template)

    async def _run_inline(
        self, store: SandboxDriver, messages: Sequence[Message]
    ) -> Mapping[bytes, Exception]:
        ids = [message.id for message in messages]
        failures: dict[bytes, Exception] = {}
        drain = Drain(lambda: [store], self._runs, most=MOST_RUNS, failed=failures.__setitem__)
        await drain.run(lambda: self._move_to(store.next_run_of(ids), inf))
        return failures if self.raises else {}


class _Watching:
    """Reports events of stores to a sandbox; implements `sandbox_driver.Watcher`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def accepted(
        self, store: SandboxDriver, messages: Sequence[Message]
    ) -> Mapping[bytes, Exception]:
        sandbox = self._sandbox
        now = sandbox.clock.time()
        sandbox._dispatched += [what_was_sent(store.app, message, now) for message in messages]
        sandbox._runs.changed()
        return await sandbox._run_inline(store, messages) if sandbox.inline and messages else {}

    def cancel_requested(self, message_id: bytes) -> None:
        self._sandbox._runs.interrupt(message_id)

    def is_draining(self) -> bool:
        return self._sandbox._runs.seconds_idle() < self._sandbox._patience
