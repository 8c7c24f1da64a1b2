"""Nothing that an application dispatches reaches a store: for its own tests."""

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
"""Of one drain."""
PATIENCE_SECONDS = 3.0
"""For which a result is awaited while nothing runs tasks."""


class Sandbox:
    """While one is open, every app of the process dispatches into it, and into no store.

        with Sandbox() as sandbox:
            await sign_up("ada@example.com")
            sandbox.assert_dispatched(send_welcome(to="ada@example.com"))
            await sandbox.drain()

    Tasks wait in it until they are drained, or run within `dispatch` if it is `inline`. They run as
    in a worker: arguments and results are serialized, hooks are called, failures retried. Tasks that
    are for other processes run in this one.
    """

    def __init__(self, *, inline: bool = False, raises: bool = False) -> None:
        """Make a sandbox; `with` opens it.

        Args:
            inline: `dispatch` returns when the task has ended, with its retries. What is to be due
                later waits.
            raises: what a task that has failed for good raised is raised by `drain`, or by `dispatch`
                if the sandbox is inline.
        """
        self.inline = inline
        self.raises = raises
        self.clock = Clock(self._moved)
        self._dispatched: list[Dispatched] = []
        self._stores: dict[App, SandboxDriver] = {}
        self._failures: dict[bytes, Exception] = {}
        self._runs = Runs()
        self._unawaited: set[object] = set()
        """Calls of `drain` whose coroutine has not begun."""
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
                "`drain()` was called and not awaited, so no task ran. Write `await sandbox.drain()`, "
                "or `sandbox.drain_sync()` where there is no event loop."
            )

    @property
    def dispatched(self) -> Sequence[Dispatched]:
        """All that was dispatched, also by tasks, in order; without what a unique key kept out."""
        return tuple(self._dispatched)

    def assert_dispatched(
        self, task: AnyTask, *, times: int | None = None, queue: str | None = None
    ) -> Sequence[Dispatched]:
        """Make sure that a task was dispatched; returns the dispatches.

        Args:
            task: with arguments (`send_email(to="a@b.c")`), of which each has to be equal, `mock.ANY`
                to anything; options given to it (`.delay(60)`) have to be the same too. Without
                arguments (`send_email`), or as a name, any dispatch of it is meant.
            times: how often; None for at least once.
            queue: on which queue; None for any.

        Raises:
            AssertionError: it was not; says what was.
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
        """Make sure that a task was not dispatched; without one, that nothing was.

        Raises:
            AssertionError: it was.
        """
        if task is not None:
            self.assert_dispatched(task, times=0, queue=queue)
            return
        found = [each for each in self._dispatched if queue in {None, each.queue}]
        if found:
            lines = [f"  {number}. {each}" for number, each in enumerate(found, start=1)]
            raise AssertionError("\n".join(["Nothing was to be dispatched, but this was:", *lines]))

    @marked_async
    def drain(
        self,
        *,
        until: float | timedelta | datetime | None = None,
        queues: Collection[str] | None = None,
        concurrency: int | None = None,
        most: int = MOST_RUNS,
    ) -> Coroutine[Any, Any, int]:
        """Run the tasks that are ready, and those that they dispatch; returns the number of runs.

        Await it: the sandbox raises an `AssertionError` at its end if you did not.

        Args:
            until: also run what falls due in that time (seconds, a timedelta, or until a datetime),
                moving the clock from one to the next and then to the end of it. `math.inf`: until
                nothing is left.
            queues: only these; None for all.
            concurrency: tasks at once; None for the setting of the app. With 1 they run one after the
                other.
            most: runs after which something must be wrong.

        Raises:
            AssertionError: there were more runs than that.
            Exception: if the sandbox `raises`, what a task raised; in an `ExceptionGroup`, where
                several have failed.
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
        """Like `drain`, for tests without an event loop.

        Raises:
            RuntimeError: an event loop runs in this thread; use `await ….drain()`.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("An event loop runs in this thread: use `await sandbox.drain()`.")

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
        """Forget what was dispatched, and delete what waits."""
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
        """Move the clock on, unless there is nothing to come; False then."""
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
    """Tells a sandbox of what happens in its stores; implements `sandbox_driver.Watcher`."""

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

    def is_anyone_working(self) -> bool:
        return self._sandbox._runs.seconds_idle() < PATIENCE_SECONDS
