"""Notifications of plugins about each attempt, and the changes that plugins may make."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asynctasq import Snooze, Worker, current_task, hookimpl, task
from asynctasq.contracts.executor import AttemptResult, Call, Raised, Returned
from asynctasq.errors import TaskFailed
from asynctasq.failures import error_info
from asynctasq.hookspecs import DispatchContext, ExecutionContext, WorkerContext
from asynctasq.message import State
from asynctasq.plugins.observers import OBSERVER_HOOKS, Observers
from asynctasq.settlement import ReleaseReason, Settled
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.timing import PrefetchTiming, WorkerTiming
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe


class Recorder:
    """Writes down every hook, sync."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def _note(self, hook: str, context: Any) -> None:
        if isinstance(context, ExecutionContext):
            details = (
                type(context.attempt).__name__ if context.attempt else None,
                context.error.message if context.error else None,
                context.reason.value if context.reason else None,
                context.retry_delay,
            )
            self.noted.append((hook, *details))
        else:
            self.noted.append(hook)

    @property
    def hooks(self) -> list[str]:
        return [each if isinstance(each, str) else each[0] for each in self.noted]


class AsyncRecorder(Recorder):
    """Writes down every hook, async."""


def _sync(hook: str) -> Callable[..., Any]:
    def observe(self: Recorder, context: Any) -> None:
        self._note(hook, context)

    observe.__name__ = hook
    return hookimpl(observe)


def _async(hook: str) -> Callable[..., Any]:
    async def observe(self: Recorder, context: Any) -> None:
        await asyncio.sleep(0)
        self._note(hook, context)

    observe.__name__ = hook
    return hookimpl(observe)


for _hook in OBSERVER_HOOKS:
    if _hook == "on_settled":  # in the background, so its order is not defined
        continue
    setattr(Recorder, _hook, _sync(_hook))
    setattr(AsyncRecorder, _hook, _async(_hook))


@task(retry_delay=0.0)
async def good() -> dict[str, str]:
    probe().note("ran")
    return dict(current_task().headers)


@task(retry_delay=0.0, max_attempts=2)
def bad() -> None:
    probe().note("ran")
    raise LookupError("bad")


@task
async def waits() -> None:
    it = probe()
    it.flag("began").set()
    await it.flag("go on").wait()


@task
async def snoozes() -> None:
    raise Snooze(60)


BOTH = pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
START, END = ["worker_started"], ["worker_stopping", "worker_stopped"]
SENT = ["before_dispatch", "after_dispatch"]


async def observed(make_stage: MakeStage, *plugins: object) -> Stage:
    stage = await make_stage()
    for plugin in plugins:
        stage.app.plugins.register(plugin)
    return stage


@BOTH
async def test_a_good_run_in_order(make_stage: MakeStage, kind: type[Recorder]) -> None:
    recorder = kind()
    stage = await observed(make_stage, recorder)
    await good().dispatch()
    await stage.burst()
    assert recorder.noted == [
        *SENT,
        *START,
        ("before_execute", None, None, None, None),
        ("after_execute", "Returned", None, None, None),
        *END,
    ]


async def test_who_registers_after_a_dispatch_hears_of_the_next(make_stage: MakeStage) -> None:
    stage = await observed(make_stage)
    await good().dispatch()
    recorder = Recorder()
    stage.app.plugins.register(recorder)
    await good().dispatch()
    assert recorder.noted == SENT
    stage.app.plugins.unregister(recorder)
    await good().dispatch()
    assert recorder.noted == SENT


@BOTH
async def test_a_retry_and_a_death_in_order(make_stage: MakeStage, kind: type[Recorder]) -> None:
    recorder = kind()
    stage = await observed(make_stage, recorder)
    await bad().dispatch()
    await stage.burst()
    assert recorder.noted == [
        *SENT,
        *START,
        ("before_execute", None, None, None, None),
        ("after_execute", "Raised", None, None, None),
        ("on_retry", "Raised", "bad", None, 0.0),
        ("before_execute", None, None, None, None),
        ("after_execute", "Raised", None, None, None),
        ("on_failure", "Raised", "bad", None, None),
        ("on_dead", None, "bad", "failed", None),
        *END,
    ]


@BOTH
async def test_a_cancel_in_order(make_stage: MakeStage, kind: type[Recorder]) -> None:
    recorder = kind()
    stage = await observed(make_stage, recorder)
    handle = await waits().dispatch()
    async with stage.worker():
        await stage.flag("began").wait()
        await handle.cancel()
        await stage.until(handle, State.CANCELLED)
    assert recorder.hooks == [*SENT, *START, "before_execute", "on_cancel", *END]


@BOTH
async def test_a_release_in_order(make_stage: MakeStage, kind: type[Recorder]) -> None:
    recorder = kind()
    stage = await observed(make_stage, recorder)
    await waits().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        worker.stop()
    assert recorder.hooks == [
        *SENT,
        *START,
        "before_execute",
        "worker_stopping",
        "on_release",
        "worker_stopped",
    ]


async def test_observers_learn_of_messages_that_cannot_be_run(make_stage: MakeStage) -> None:
    recorder = Recorder()
    stage = await observed(make_stage, recorder)
    driver = await stage.driver()
    await driver.enqueue([stage.message("unknown:task"), stage.message(good(), body=b"noise")])
    await stage.burst(concurrency=1)
    assert sorted(recorder.hooks) == sorted([*START, "on_release", "on_dead", *END])


async def test_observers_learn_that_a_refused_message_is_dead(
    make_stage: MakeStage, driver: Any, line: Line
) -> None:
    recorder = Recorder()
    stage = await make_stage(driver=FaultyDriver(driver, line))
    stage.app.plugins.register(recorder)
    line.replace("settle", [Settled.REFUSED])
    await good().dispatch()
    await stage.burst()
    [dead] = [each for each in recorder.noted if each[0] == "on_dead"]
    assert "cannot hold its outcome" in dead[2]
    assert dead[3:] == ("refused", None)


PREFETCHES = WorkerTiming(
    prefetch=PrefetchTiming(short_task=math.inf, wait=1e9, keep=PATIENCE),
)
"""Prefetches messages, however long tasks take, once a worker has run a few of them."""


@asynccontextmanager
async def one_prefetched(stage: Stage) -> AsyncIterator[tuple[Worker, InFlightMessage, Any]]:
    """Start a worker that runs one task and has prefetched another message."""
    *_, handle = await stage.app.dispatch_many([*(good() for _ in range(30)), waits(), good()])
    async with stage.worker(concurrency=1, timing=PREFETCHES) as worker:
        await stage.flag("began").wait()

        async def prefetched() -> bool:
            return bool(stage.inspect(worker).prefetched)

        await eventually(prefetched)
        yield worker, stage.inspect(worker).prefetched[0], handle


async def test_observers_learn_of_the_release_of_a_prefetched_message(
    make_stage: MakeStage,
) -> None:
    recorder = Recorder()
    stage = await observed(make_stage, recorder)
    async with one_prefetched(stage) as (worker, _, handle):
        worker.stop()
        stage.flag("go on").set()
    assert await handle.status() is State.READY
    assert ("on_release", None, None, None, 0.0) in recorder.noted
    assert recorder.hooks[-1] == "worker_stopped"


async def test_observers_learn_of_the_cancellation_of_a_prefetched_message(
    make_stage: MakeStage,
) -> None:
    recorder = Recorder()
    stage = await observed(make_stage, recorder)
    async with one_prefetched(stage) as (_, running, handle):
        await handle.cancel()

        async def noted() -> bool:
            return running.interrupt is not None

        await eventually(noted)
        stage.flag("go on").set()
        await stage.until(handle, State.CANCELLED)
    assert recorder.hooks.count("on_cancel") == 1
    assert "on_release" not in recorder.hooks


class Releases:
    """Notes the reason for which each message was released."""

    def __init__(self) -> None:
        self.reasons: list[ReleaseReason | None] = []

    @hookimpl
    def on_release(self, context: ExecutionContext) -> None:
        self.reasons.append(context.released)


async def test_a_release_has_a_reason(make_stage: MakeStage) -> None:
    releases = Releases()
    stage = await make_stage(grace_period=0.0)
    stage.app.plugins.register(releases)
    driver = await stage.driver()
    await driver.enqueue([stage.message("unknown:task")])
    await stage.burst(concurrency=1)
    await snoozes().dispatch()
    await stage.burst(concurrency=1)
    await waits().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        worker.stop()
    assert releases.reasons == [
        ReleaseReason.MISMATCHED,
        ReleaseReason.SNOOZED,
        ReleaseReason.INTERRUPTED,
    ]


async def test_messages_fetched_ahead_are_released_as_not_started(make_stage: MakeStage) -> None:
    releases = Releases()
    stage = await make_stage()
    stage.app.plugins.register(releases)
    async with one_prefetched(stage) as (worker, _, _handle):
        worker.stop()
        stage.flag("go on").set()
    assert releases.reasons == [ReleaseReason.NOT_STARTED]


class Raising:
    """Every hook of it raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error


def _raising(hook: str) -> Callable[..., Any]:
    def observe(self: Raising, context: Any) -> None:
        raise self.error(hook)

    observe.__name__ = hook
    return hookimpl(observe)


for _hook in OBSERVER_HOOKS:
    setattr(Raising, _hook, _raising(_hook))


@pytest.mark.parametrize(
    "error", [LookupError, asyncio.CancelledError, SystemExit, KeyboardInterrupt, BaseException]
)
async def test_observers_that_raise_harm_nobody(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    stage = await observed(make_stage, Raising(error))
    handle = await good().dispatch()
    failing = await bad().dispatch()
    await stage.burst()
    assert await handle.result(timeout=30) == {}
    assert await failing.status() is State.DEAD
    assert any("worker_started" in line for line in caplog.messages)


async def test_an_observer_that_hangs_at_the_end_does_not_undo_the_work(
    make_stage: MakeStage,
) -> None:
    class Hanging:
        @hookimpl
        async def after_execute(self, context: ExecutionContext) -> None:
            hanging.set()
            await asyncio.Event().wait()

    hanging = asyncio.Event()
    stage = await observed(make_stage, Hanging())
    handle = await good().dispatch()
    async with stage.worker() as worker:
        await asyncio.wait_for(hanging.wait(), PATIENCE)
        worker.stop()
        worker.stop()
    assert await handle.result(timeout=30) == {}
    assert stage.log == ["ran"]


async def test_headers_of_observers_reach_the_task(make_stage: MakeStage) -> None:
    class Tracing:
        @hookimpl
        def before_dispatch(self, context: DispatchContext) -> None:
            context.headers["trace"] = "42"

    stage = await observed(make_stage, Tracing())
    single = await good().options(headers={"own": "1"}).dispatch()
    [chunked] = await stage.app.dispatch_many([good()])
    await stage.burst()
    assert await single.result(timeout=30) == {"own": "1", "trace": "42"}
    assert await chunked.result(timeout=30) == {"trace": "42"}


async def test_observers_receive_the_context_of_their_worker(make_stage: MakeStage) -> None:
    contexts: list[WorkerContext] = []

    class Watching:
        @hookimpl
        def worker_started(self, context: WorkerContext) -> None:
            contexts.append(context)

    stage = await observed(make_stage, Watching())
    await stage.burst(worker_id="w", queues=["a", "b:2"], concurrency=3)
    assert contexts == [WorkerContext("w", ("a", "b"), 3)]


Next = Callable[[Call], Awaitable[AttemptResult]]


class Wrapping:
    """Wraps every attempt by a function of (next, call)."""

    def __init__(self, around: Callable[[Next, Call], Awaitable[Any]]) -> None:
        self._around = around

    @hookimpl
    def wrap_execute(self, call_next: Next) -> Next:
        async def wrapped(call: Call) -> AttemptResult:
            return await self._around(call_next, call)  # type: ignore[no-any-return]  # or nonsense

        return wrapped


async def test_a_wrapper_may_change_the_outcome(make_stage: MakeStage) -> None:
    async def around(call_next: Next, call: Call) -> AttemptResult:
        attempt = await call_next(call)
        assert isinstance(attempt, Returned)
        return Returned(call.encode_result("changed"))

    stage = await observed(make_stage, Wrapping(around))
    handle = await good().dispatch()
    await stage.burst()
    result: object = await handle.result(timeout=30)
    assert result == "changed"


async def test_a_wrapper_may_run_it_again(make_stage: MakeStage) -> None:
    async def around(call_next: Next, call: Call) -> AttemptResult:
        await call_next(call)
        return await call_next(call)

    stage = await observed(make_stage, Wrapping(around))
    await good().dispatch()
    await stage.burst()
    assert stage.log == ["ran", "ran"]


async def test_a_wrapper_may_refuse_and_the_task_hears_of_it(make_stage: MakeStage) -> None:
    noted: list[str] = []

    async def note_failure(exception: Exception) -> None:
        noted.append(str(exception))

    @task(name="observers.refused", on_failure=note_failure)
    async def refused() -> None:
        raise AssertionError("it was refused")

    async def around(call_next: Next, call: Call) -> AttemptResult:
        error = PermissionError("not on Sundays")
        return Raised(error_info(error), retry=False, exception=error)

    stage = await observed(make_stage, Wrapping(around))
    handle = await refused().dispatch()
    await stage.burst()
    with pytest.raises(TaskFailed, match="Sundays"):
        await handle.result(timeout=30)
    assert noted == ["not on Sundays"]


async def _nonsense(call_next: Next, call: Call) -> Any:
    await call_next(call)
    return "nonsense"


async def _raises(call_next: Next, call: Call) -> Any:
    raise LookupError("nonsense")


async def _exits(call_next: Next, call: Call) -> Any:
    raise SystemExit("nonsense")


@pytest.mark.parametrize("around", [_nonsense, _raises, _exits])
async def test_a_wrapper_that_fails_is_a_failed_attempt(make_stage: MakeStage, around: Any) -> None:
    stage = await observed(make_stage, Wrapping(around))
    await bad().dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.error is not None
    assert letter.attempts == 2
    assert "nonsense" in letter.error.message


async def test_a_wrapper_may_limit_the_time_of_a_thread(make_stage: MakeStage) -> None:
    async def around(call_next: Next, call: Call) -> AttemptResult:
        asyncio.get_running_loop().call_later(0.2, stage.flag("go on").set)
        async with asyncio.timeout(0.02):
            return await call_next(call)

    @task(name="observers.slow", max_attempts=1)
    def slow() -> None:
        probe().flag("go on").wait_in_thread()
        raise ValueError("late")

    stage = await observed(make_stage, Wrapping(around))
    await slow().dispatch()
    await stage.burst()
    [letter] = await stage.dead()
    assert letter.error is not None
    assert letter.error.type == "TimeoutError"


async def test_nothing_is_notified_without_observers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("there are no observers")

    monkeypatch.setattr(Observers, "notify", never)
    handle = await good().dispatch()
    await bad().dispatch()
    await stage.burst()
    assert await handle.result(timeout=30) == {}
    await eventually(stage.dead)
