"""`on_settled` is called once for each message that a worker has fetched, whatever happened to it."""

import asyncio
import time
from collections import Counter

import pytest

from asynctasq import App, Reject, Snooze, hookimpl, task
from asynctasq.contracts.executor import Raised, Returned
from asynctasq.errors import DriverError
from asynctasq.hookspecs import ExecutionContext, SettledContext
from asynctasq.message import State
from asynctasq.settlement import Reason, ReleaseReason, Settled, SettlementKind
from asynctasq.testing import Sandbox
from asynctasq.worker import settled_notices
from asynctasq.worker.in_flight import Interrupt
from asynctasq.worker.timing import EngineTiming, SettlerTiming, WorkerTiming
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import Stage, eventually, probe
from tests.worker.test_worker_observers import one_prefetched

KIND = SettlementKind


class Ends:
    """Keeps the contexts of `on_settled`."""

    def __init__(self) -> None:
        self.contexts: list[SettledContext] = []

    @hookimpl
    def on_settled(self, context: SettledContext) -> None:
        self.contexts.append(context)

    async def until(self, count: int) -> None:
        async def reached() -> bool:
            return len(self.contexts) >= count

        await eventually(reached)

    @property
    def only(self) -> SettledContext:
        [context] = self.contexts
        return context

    def check_each_once(self) -> None:
        counts = Counter(each.delivery.lease for each in self.contexts)
        assert set(counts.values()) == {1}


@task
async def good() -> None: ...


@task(retry_delay=0.0, max_attempts=2)
async def bad() -> None:
    raise LookupError("bad")


@task
async def snoozes() -> None:
    raise Snooze(60)


@task
async def rejects() -> None:
    raise Reject("no")


@task
async def waits() -> None:
    it = probe()
    it.flag("began").set()
    await it.flag("go on").wait()


@task
def blocks() -> None:
    it = probe()
    it.flag("began").set()
    it.flag("go on").wait_in_thread()
    it.flag("over").set()


async def watched(make_stage: MakeStage, **settings: object) -> tuple[Stage, Ends]:
    stage, ends = await make_stage(**settings), Ends()
    stage.app.plugins.register(ends)
    return stage, ends


@pytest.fixture
def breakable(driver: object, line: Line) -> FaultyDriver:
    """Return a driver whose line can be broken."""
    return FaultyDriver(driver, line)


async def test_each_outcome_is_reported_once(make_stage: MakeStage) -> None:
    stage, ends = await watched(make_stage)
    for each in (good(), bad(), snoozes(), rejects()):
        await each.dispatch()
    driver = await stage.driver()
    await driver.enqueue([stage.message("unknown:task"), stage.message(waits(), body=b"noise")])
    began = time.time()
    await stage.burst()
    ends.check_each_once()
    found = [(c.delivery.message.task, c.kind, c.reason, c.released) for c in ends.contexts]
    assert Counter(found) == Counter(
        [
            (good.name, KIND.COMPLETED, None, None),
            (bad.name, KIND.RETRIED, None, None),
            (bad.name, KIND.DEAD, Reason.FAILED, None),
            (snoozes.name, KIND.RELEASED, None, ReleaseReason.SNOOZED),
            (rejects.name, KIND.DEAD, Reason.REJECTED, None),
            ("unknown:task", KIND.RELEASED, None, ReleaseReason.MISMATCHED),
            (waits.name, KIND.DEAD, Reason.UNDECODABLE, None),
        ]
    )
    for end in ends.contexts:
        never_ran = end.delivery.message.task in {"unknown:task", waits.name}
        assert end.applied is True
        assert end.due_at == end.delivery.due_at > 0.0
        assert (end.duration is None) is never_ran
        assert (end.attempt is None) is never_ran
        assert end.started_at is not None
        assert began <= end.started_at <= end.settled_at <= time.time()
    retried, dead = (c for c in ends.contexts if c.delivery.message.task == bad.name)
    assert isinstance(retried.attempt, Raised)
    assert isinstance(retried.attempt.exception, LookupError)
    assert (retried.retry_delay, dead.retry_delay) == (0.0, None)
    assert retried.error is not None
    assert retried.error.message == "bad"
    assert dead.error is not None
    assert dead.error.message == "bad"


async def test_a_cancelled_and_an_interrupted_run_are_reported(make_stage: MakeStage) -> None:
    stage, ends = await watched(make_stage, grace_period=0.0)
    handle = await waits().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        await handle.cancel()
        await ends.until(1)
        await waits().dispatch()
        await ends.until(1)

        async def runs() -> bool:
            return any(each.call is not None for each in stage.inspect(worker).held)

        await eventually(runs)
    cancelled, released = ends.contexts
    assert (cancelled.kind, cancelled.applied, cancelled.attempt) == (KIND.CANCELLED, True, None)
    assert (released.kind, released.released) == (KIND.RELEASED, ReleaseReason.INTERRUPTED)
    assert cancelled.duration is not None


async def test_a_prefetched_message_has_no_times(make_stage: MakeStage) -> None:
    stage, ends = await watched(make_stage)
    async with one_prefetched(stage) as (worker, prefetched, _):
        worker.stop()
        stage.flag("go on").set()
    [found] = [each for each in ends.contexts if each.delivery is prefetched.delivery]
    assert (found.kind, found.released) == (KIND.RELEASED, ReleaseReason.NOT_STARTED)
    assert (found.applied, found.started_at, found.duration) == (True, None, None)
    ends.check_each_once()


async def test_lost_leases_are_reported(make_stage: MakeStage) -> None:
    stage, ends = await watched(make_stage)
    async with one_prefetched(stage) as (worker, prefetched, _):
        [running] = [
            each for each in stage.inspect(worker).held if each.started_at and not each.ended_at
        ]
        prefetched.end_early(Interrupt.LOST)
        running.end_early(Interrupt.LOST)
        await ends.until(32)
    lost = [each for each in ends.contexts if each.kind is KIND.LOST]
    assert {each.delivery.lease for each in lost} == {
        prefetched.delivery.lease,
        running.delivery.lease,
    }
    assert [each.applied for each in lost] == [False, False]
    ends.check_each_once()


async def test_an_outcome_that_the_store_discards_is_not_applied(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.replace("settle", [Settled.LOST])
    await good().dispatch()
    async with stage.worker():
        await ends.until(1)
    assert (ends.only.kind, ends.only.applied) == (KIND.COMPLETED, False)
    assert isinstance(ends.only.attempt, Returned)


async def test_an_answer_that_was_lost_counts_as_applied(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.fail("settle", answered=True)
    handle = await good().dispatch()
    await stage.burst()
    assert await handle.status() is State.COMPLETED
    assert (ends.only.kind, ends.only.applied) == (KIND.COMPLETED, True)


async def test_a_batch_that_is_settled_in_parts_is_reported_once(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.fail("settle", error=lambda: DriverError("not this batch"))
    line.answer("settle", lambda answer: answer)
    line.fail("settle")
    await stage.app.dispatch_many([good(), good()])
    await stage.burst()
    ends.check_each_once()
    assert [each.applied for each in ends.contexts] == [True, True]


async def test_an_outcome_that_the_store_refuses_is_reported_as_dead(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.replace("settle", [Settled.REFUSED])
    await good().dispatch()
    await stage.burst()
    assert (ends.only.kind, ends.only.reason) == (KIND.DEAD, Reason.REFUSED)
    assert ends.only.applied is True


async def test_an_outcome_that_the_store_refuses_in_every_form_is_not_applied(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.fail("settle", 1000, error=lambda: DriverError("never"))
    await good().dispatch()
    async with stage.worker(timing=WorkerTiming(settler=SettlerTiming(failed=0.0))):
        await ends.until(1)
    assert (ends.only.kind, ends.only.applied) == (KIND.COMPLETED, False)
    assert ends.only.error is not None
    assert "never" in ends.only.error.message


async def test_outcomes_are_unknown_if_the_store_is_unavailable_until_the_end(
    make_stage: MakeStage, breakable: FaultyDriver, line: Line
) -> None:
    stage, ends = await watched(make_stage, driver=breakable)
    line.fail("settle", 1000)
    await stage.app.dispatch_many([good(), good()])
    timing = WorkerTiming(engine=EngineTiming(settle_at_end=0.1))
    async with stage.worker(timing=timing):
        await line.failed("settle")
    assert {each.applied for each in ends.contexts} == {None}
    assert {each.kind for each in ends.contexts} == {KIND.COMPLETED}
    ends.check_each_once()


async def test_a_run_that_cannot_be_interrupted_is_reported_once(make_stage: MakeStage) -> None:
    stage, ends = await watched(make_stage, grace_period=0.0)
    await blocks().dispatch()
    timing = WorkerTiming(engine=EngineTiming(interrupted=0.05))
    async with stage.worker(timing=timing):
        await stage.flag("began").wait()
    stage.flag("go on").set()
    await stage.flag("over").wait()
    assert (ends.only.kind, ends.only.released) == (KIND.RELEASED, ReleaseReason.STILL_RUNNING)
    assert ends.only.started_at is not None
    assert (ends.only.applied, ends.only.duration) == (True, None)


async def test_slow_observers_hold_up_nothing(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging:
        @hookimpl
        async def on_settled(self, context: SettledContext) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(settled_notices, "KEPT", 2)
    stage = await make_stage()
    stage.app.plugins.register(Hanging())
    for _ in range(5):
        handle = await good().dispatch()
        await stage.burst(timing=WorkerTiming(engine=EngineTiming(interrupted=0.01)))
        assert await handle.status() is State.COMPLETED
    await stage.app.dispatch_many([good() for _ in range(5)])
    await stage.burst(timing=WorkerTiming(engine=EngineTiming(interrupted=0.01)))
    assert "further ones are dropped" in caplog.text
    assert "were too slow: dropped" in caplog.text


async def test_observers_of_runs_receive_times(make_stage: MakeStage) -> None:
    class Times:
        @hookimpl
        def before_execute(self, context: ExecutionContext) -> None:
            times.append((context.started_at, context.duration, context.due_at))

        @hookimpl
        def on_dead(self, context: ExecutionContext) -> None:
            times.append((context.started_at, context.duration, context.due_at))

    times: list[tuple[float | None, float | None, float]] = []
    stage = await make_stage()
    stage.app.plugins.register(Times())
    await rejects().dispatch()
    await stage.burst()
    (started, before, due), (same_start, duration, same_due) = times
    assert started is not None
    assert (started, due) == (same_start, same_due)
    assert before is None
    assert duration is not None


async def test_a_sandbox_reports_the_ends_too() -> None:
    ends = Ends()
    async with App() as app:
        app.plugins.register(ends)
        with Sandbox() as box:
            await good().dispatch()
            await box.drain()
    assert (ends.only.kind, ends.only.applied) == (KIND.COMPLETED, True)
