"""The rules of the executor contract, as checks: a worker runs tasks with the executor."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Literal, TypeVar

from asynctasq.conformance import executor_tasks as tasks
from asynctasq.conformance.executor_harness import (
    AT_ONCE,
    LOOK_SECONDS,
    ExecutorHarness,
    harness_of,
)
from asynctasq.conformance.plugin_checks import Checks, PluginConformance
from asynctasq.contracts.executor import Executor, Raised, Rejected, Returned, Snoozed
from asynctasq.errors import ResultNotSerializable, TaskCancelled, TaskFailed
from asynctasq.message import State

E = TypeVar("E", bound=BaseException)

checks = Checks()
_TIMEOUT_SECONDS = 0.3


class ExecutorConformance(PluginConformance):
    """Subclass this in a test module, and each rule becomes a test of your executor.

    class TestMyExecutor(ExecutorConformance):
        mode = "thread"

        def make_executor(self, settings: object) -> Executor:
            return MyExecutor()
    """

    checks = checks
    mode: ClassVar[Literal["loop", "thread", "process"]]
    """The mode of the tasks that the executor runs, which is the name of its entry point."""
    patience: ClassVar[float] = 30.0
    """Longest time in seconds that a check waits for a task."""
    interrupts: ClassVar[bool] = True
    """False for an executor whose tasks cannot see that they are cancelled."""

    def make_executor(self, settings: Any) -> Executor:
        """Create an executor with the settings that `create_executor` receives from a worker."""
        raise NotImplementedError(f"{type(self).__qualname__} must define make_executor")

    def harness(self) -> AbstractAsyncContextManager[ExecutorHarness]:
        """Return the object with which a check works."""
        return harness_of(self)


@checks.rule(
    "`execute` returns `Returned` with `call.encode_result(value)` for the value of the task.",
    "`await handle.result()` returns something other than the task returned.",
)
async def results_are_returned(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        for value in (None, 0, "text", [1, {"a": 2.5}]):
            back = await harness.result(harness.task(kind, "return_argument", value))
            assert back == value, f"{kind.__name__}: the result is {back!r}, not {value!r}"
        back = await harness.result(harness.task(kind, "return_typed", 7))
        assert repr(back) == "{'when': datetime.date(2024, 2, 29), 'what': (7, {1, 2})}"
    assert all(isinstance(each, Returned) for each in harness.outcomes), f"{harness.outcomes!r}"


@checks.rule(
    "The code of a task runs in the context of its worker, so that `current_task()` works.",
    "`current_task()` raises in the task, or describes another task.",
)
async def tasks_know_themselves(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        handle = await harness.dispatch(harness.task(kind, "describe_call", "x", max_attempts=1))
        argument, task_id, name, attempt, _ = await handle.result(timeout=harness.suite.patience)
        assert (argument, task_id, attempt) == ("x", str(handle), 0), (
            f"{(argument, task_id, attempt)}"
        )
        assert name.endswith(kind.__name__), f"the task is called {name}"


@checks.rule(
    "As many attempts run at once as `start(concurrency=...)` says.",
    "Several tasks of a worker run one after the other, whatever its concurrency.",
)
async def tasks_run_at_the_same_time(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        members = [
            await harness.dispatch(harness.task(kind, "meet", [number, AT_ONCE], max_attempts=1))
            for number in range(AT_ONCE)
        ]
        met = [await each.result(timeout=harness.suite.patience) for each in members]
        assert met == [True] * AT_ONCE, f"{kind.__name__}: the tasks ran one after the other"


@checks.rule(
    "The event loop of the worker goes on while a task runs.",
    "Leases of the worker are lost while a task runs, and other workers repeat its tasks.",
)
async def event_loop_stays_responsive(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        handle = await harness.dispatch(harness.task(kind, "wait", max_attempts=1))
        await harness.noted(kind, "started")
        (harness.folder(kind) / "open").touch()
        opened = await handle.result(timeout=harness.suite.patience)
        assert opened is True, f"{kind.__name__}: the loop stood still until the task ended"


@checks.rule(
    "`execute` returns `Raised` with type, message and traceback of an error, and does not raise it.",
    "Dead letters do not show why the task failed.",
)
async def errors_are_described(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        task = harness.task(kind, "fail", 7, max_attempts=1)
        failure = await harness.error(task, TaskFailed)
        assert failure.error_type == "LookupError", f"the type is {failure.error_type!r}"
        assert failure.error_message == "no such customer: 7", f"it says {failure.error_message!r}"
        outcome = harness.outcomes[-1]
        assert isinstance(outcome, Raised), f"the outcome is {outcome!r}"
        assert "no such customer: 7" in outcome.error.traceback, "the traceback is missing"


@checks.rule(
    "`should_retry` of the task is called once with the error, and decides about the next attempt.",
    "Tasks are retried although `should_retry` forbids it, or not retried at all.",
)
async def should_retry_decides(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        folder = harness.folder(kind)
        await harness.error(harness.task(kind, "fail", "give up", max_attempts=5), TaskFailed)
        assert tasks.lines(folder, "runs") == ["0"], "the task was retried although it gave up"
        assert tasks.lines(folder, "should_retry") == ["LookupError"], (
            "should_retry was not called once"
        )
        await harness.error(harness.task(kind, "fail", "go on", max_attempts=2), TaskFailed)
        assert tasks.lines(folder, "runs") == ["0", "0", "1"], "the task was not retried"


@checks.rule(
    "`failed` calls the hook of the task once, with the error of the last attempt.",
    "Cleanup and alerts of the `failed` hook do not happen, or happen twice.",
)
async def failed_hook_runs_once(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        await harness.error(harness.task(kind, "fail", 7, max_attempts=2), TaskFailed)
        noted = tasks.lines(harness.folder(kind), "failed")
        assert len(noted) == 1, f"{kind.__name__}: the hook was called {len(noted)} times"
        assert "no such customer: 7" in noted[0], f"the hook received {noted[0]!r}"


@checks.rule(
    "`Retry`, `Snooze` and `Reject` become `Raised`, `Snoozed` and `Rejected`, without `should_retry`.",
    "`Retry`, `Snooze` and `Reject` act like any other error.",
)
async def tasks_choose_their_outcome(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        harness.outcomes.clear()
        for behavior, argument in (("retry", 0.01), ("snooze", 0.02)):
            done = await harness.result(harness.task(kind, behavior, argument, retry_delay=600))
            assert done == "done", f"{behavior}: the result is {done!r}"
        failure = await harness.error(harness.task(kind, "reject", "no order"), TaskFailed)
        assert failure.reason == "rejected", f"reject: the reason is {failure.reason!r}"
        first, _, second, _, third = harness.outcomes
        assert isinstance(first, Raised), f"Retry became {first!r}"
        assert (first.retry, first.retry_delay) == (True, 0.01), f"Retry became {first!r}"
        assert isinstance(second, Snoozed), f"Snooze became {second!r}"
        assert second.delay == 0.02, f"Snooze became {second!r}"
        assert isinstance(third, Rejected), f"Reject became {third!r}"
        asked = tasks.lines(harness.folder(kind), "should_retry")
        assert not asked, f"should_retry was called with {asked}"


@checks.rule(
    "`SystemExit` in the code of a task is a failed attempt, which is retried.",
    "One task that calls `sys.exit()` stops the worker, and all its other tasks.",
)
async def exit_of_a_task_is_an_error(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        done = await harness.result(harness.task(kind, "exit_process", max_attempts=2))
        assert done == "done", f"the result is {done!r}"
        assert tasks.lines(harness.folder(kind), "runs") == ["0", "1"]


@checks.rule(
    "An attempt that takes longer than `call.policy.timeout` ends with `TaskTimeout`.",
    "A task that hangs keeps its slot for ever.",
    needs="interrupts",
)
async def timeout_ends_an_attempt(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        task = harness.task(kind, "wait", max_attempts=1, timeout=_TIMEOUT_SECONDS)
        failure = await harness.error(task, TaskFailed)
        assert failure.error_type == "asynctasq.errors.TaskTimeout", f"it is {failure.error_type!r}"


@checks.rule(
    "Cancelling `execute` interrupts the task, or tells it with `call.interrupt()`.",
    "`handle.cancel()` has no effect on a running task.",
    needs="interrupts",
)
async def cancellation_interrupts_a_task(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        handle = await harness.dispatch(harness.task(kind, "wait", max_attempts=1))
        await harness.noted(kind, "started")
        await handle.cancel()
        await harness.error_of(handle, TaskCancelled)


@checks.rule(
    "A task that is interrupted because the worker stops is not counted as an attempt.",
    "A worker that stops loses the tasks that it runs, or does not stop.",
    needs="interrupts",
)
async def stopping_releases_tasks(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        handle = await harness.dispatch(harness.task(kind, "wait", max_attempts=1))
        await harness.noted(kind, "started")
        harness.worker.stop()
        while await handle.status() is State.RUNNING:  # noqa: ASYNC110  drivers do not report states
            await asyncio.sleep(LOOK_SECONDS)
        status = await handle.status()
        assert status is State.READY, (
            f"{kind.__name__}: the task is {status} after the worker stopped"
        )
        return


@checks.rule(
    "A return value that cannot be stored completes the task.",
    "A task whose work is done runs again because of its return value.",
)
async def results_that_cannot_be_stored_complete(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        task = harness.task(kind, "return_opaque", max_attempts=1)
        error = await harness.error(task, ResultNotSerializable)
        assert "Opaque" in str(error), f"the error does not name the type: {error}"


@checks.rule(
    "A task that returns a coroutine has failed (`refuse_unfinished`).",
    "A task that forgot an `await` counts as done although nothing happened.",
)
async def unfinished_results_are_errors(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        task = harness.task(kind, "return_unfinished", max_attempts=1)
        failure = await harness.error(task, TaskFailed)
        assert failure.error_type == "TypeError", f"the type is {failure.error_type!r}"
        assert not tasks.lines(harness.folder(kind), "worked")


@checks.rule(
    "Code runs between `call.enter()` and `call.leave()`, or in `call.run_here()`, so cleanups run.",
    "Resources that tasks open are never closed.",
)
async def cleanups_run(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        await harness.result(harness.task(kind, "clean_up", max_attempts=1))
        noted = tasks.lines(harness.folder(kind), "cleaned")
        assert len(noted) == 1, f"{kind.__name__}: the cleanup ran {len(noted)} times"


@checks.rule(
    "`call.surrounding` is entered around `execute` of the task, where that runs.",
    "Traces, scopes of error trackers and log fields of plugins (`wrap_task`) are missing in tasks.",
)
async def plugins_surround_the_task(harness: ExecutorHarness) -> None:
    if harness.suite.mode == "process":  # a child has no plugin of this check
        return
    for kind in harness.kinds:
        task = harness.task(kind, "describe_surrounding", max_attempts=1)
        is_entered, is_here = await harness.result(task)
        assert is_entered, f"{kind.__name__}: `call.surrounding` was not entered"
        assert is_here, f"{kind.__name__}: `call.surrounding` was entered in another thread"


@checks.rule(
    "A `BodyError` of `call.load()` leaves `execute`, so that the worker releases the message.",
    "During a deploy, messages for the new release become dead letters of the old one.",
)
async def unreadable_arguments_are_no_attempt(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        task = harness.task(kind, "return_argument", tasks.Unreadable(), max_attempts=1)
        handle = await harness.dispatch(task)
        while await handle.status() in {State.READY, State.RUNNING}:  # noqa: ASYNC110  same
            await asyncio.sleep(LOOK_SECONDS)
        status = await handle.status()
        assert status is State.SCHEDULED, f"{kind.__name__}: the message is {status}"


@checks.rule(
    "`stop` can be called twice, and also if no task ran or `start` was not called.",
    "Stopping a worker fails, or leaves threads and processes behind.",
)
async def stop_can_be_repeated(harness: ExecutorHarness) -> None:
    for kind in harness.kinds:
        await harness.result(harness.task(kind, "return_argument", 1))
    idle = harness.suite.make_executor(harness.settings)
    await idle.stop()
    await idle.start(concurrency=1)
    await idle.stop()
    await idle.stop()
