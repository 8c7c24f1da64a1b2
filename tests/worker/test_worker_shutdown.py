"""Stopping: running tasks get their time, tasks that do not end are released uncounted, nothing is left."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asynctasq import AsyncTask, State, SyncTask, current_task, task
from asynctasq.conformance.harness import let_tidy
from asynctasq.errors import ConfigurationError, TaskCancelled
from asynctasq.message import Delivery
from asynctasq.worker.in_flight import Interrupt
from asynctasq.worker.timing import EngineTiming, RenewerTiming, SignalTiming, WorkerTiming
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store


class Endless(AsyncTask[str]):
    """Runs until it is interrupted; on the second run, to its end."""

    async def execute(self) -> str:
        it = probe()
        it.note("began", self._current_attempt)
        if it.flag("be quick").is_set:
            return "done"
        it.flag("began").set()
        try:
            await asyncio.Event().wait()
        finally:
            it.note("cleaned up")
        return "never"

    async def failed(self, exception: Exception) -> None:
        probe().note("failed")


class Converting(Endless):
    """Answers an interruption with another error."""

    async def execute(self) -> str:
        try:
            return await super().execute()
        except asyncio.CancelledError:
            raise ConnectionError("dropped") from None


@task
async def gated() -> str:
    it = probe()
    it.flag("began").set()
    await it.flag("go on").wait()
    return "done"


@task
def gated_in_thread() -> str:
    it = probe()
    it.note("began")
    it.flag("began").set()
    it.flag("go on").wait_in_thread()
    return "done"


@task
async def note(what: int) -> None:
    probe().note(what)


@pytest.mark.parametrize("each", [gated, gated_in_thread])
async def test_running_tasks_may_finish(stage: Stage, each: Any) -> None:
    handle = await each().dispatch()
    async with stage.worker(concurrency=1) as worker:
        await stage.flag("began").wait()
        waiting = await note(1).dispatch()
        worker.stop()
        stage.flag("go on").set()
    assert await handle.result(timeout=30) == "done"
    assert await waiting.status() is State.READY


@pytest.mark.parametrize("kind", [Endless, Converting])
async def test_after_the_grace_period_they_are_given_back_uncounted(
    make_stage: MakeStage, kind: Any
) -> None:
    stage = await make_stage(grace_period=0.05)
    handle = await kind().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
    snapshot = await stage.snapshot(handle)
    assert snapshot is not None
    assert (snapshot.state, snapshot.attempt, snapshot.lost) == (State.READY, 0, 0)
    assert not worker.stuck
    stage.flag("be quick").set()
    await stage.burst()
    assert await handle.result(timeout=30) == "done"
    assert stage.log == [("began", 0), "cleaned up", ("began", 0)]


async def test_the_second_stop_interrupts(stage: Stage) -> None:
    handle = await Endless().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        worker.stop()
        await asyncio.sleep(0)
        assert await handle.status() is State.LEASED
        worker.stop()
    assert await handle.status() is State.READY
    assert stage.log == [("began", 0), "cleaned up"]


async def test_one_stop_during_the_last_runs_does_not_interrupt(stage: Stage) -> None:
    handle = await gated().dispatch()
    async with stage.worker(max_tasks=1) as worker:
        await stage.flag("began").wait()
        worker.stop()  # the first: reaching `max_tasks` was none
        await asyncio.sleep(0)
        stage.flag("go on").set()
    assert await handle.result(timeout=30) == "done"


async def test_a_stop_before_the_start_counts(stage: Stage) -> None:
    handle = await note(1).dispatch()
    worker = stage.make_worker()
    worker.stop()
    await asyncio.wait_for(worker.start(), PATIENCE)
    assert await handle.status() is State.READY


@pytest.mark.parametrize("each", [Endless, Converting])
async def test_a_cancelled_worker_gives_back_at_once_and_is_cancelled(
    stage: Stage, each: Any
) -> None:
    handle = await each().dispatch()
    working = asyncio.create_task(stage.make_worker().start())
    await stage.flag("began").wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, PATIENCE)
    assert await handle.status() is State.READY
    assert stage.log[-1] == "cleaned up"


async def test_a_reserve_under_way_is_let_finish(faulty: Stage, line: Line) -> None:
    handles = [await note(number).dispatch() for number in range(3)]
    reached, go_on = faulty.flag("reached"), faulty.flag("go on")
    line.hold("reserve", go_on, reached)
    working = asyncio.create_task(faulty.make_worker().start())
    await reached.wait()
    working.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, PATIENCE)
    assert faulty.log == []  # not begun any more
    for handle in handles:
        snapshot = await faulty.snapshot(handle)
        assert snapshot is not None
        assert (snapshot.state, snapshot.lost) == (State.READY, 0)


class StuckThread(SyncTask[str]):
    """Cannot be interrupted."""

    def execute(self) -> str:
        it = probe()
        it.note("began", self._current_attempt)
        if it.flag("be quick").is_set:
            return "second run"
        it.flag("began").set()
        it.flag("go on").wait_in_thread()
        it.flag("over").set()
        return "first run"


async def test_a_stuck_thread_does_not_keep_the_worker(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(engine=EngineTiming(interrupted=0.05))
    stage = await make_stage(grace_period=0.05)
    handle = await StuckThread().dispatch()
    async with stage.worker(timing=timing) as worker:
        await stage.flag("began").wait()
    assert worker.stuck
    assert any("still running" in line and "StuckThread" in line for line in caplog.messages)
    snapshot = await stage.snapshot(handle)
    assert snapshot is not None
    assert (snapshot.state, snapshot.attempt, snapshot.lost) == (State.READY, 0, 0)

    stage.flag("be quick").set()
    await stage.burst()
    stage.flag("go on").set()
    await stage.flag("over").wait()
    assert await handle.result(timeout=30) == "second run"
    records = [record for record in caplog.records if "still running" not in record.message]
    assert [record for record in records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_a_thread_that_ends_after_the_grace_period_has_done_its_work(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage(grace_period=0.02)
    handle = await gated_in_thread().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        asyncio.get_running_loop().call_later(0.1, stage.flag("go on").set)
    assert not worker.stuck
    assert await handle.result(timeout=30) == "done"
    assert stage.log == ["began"]


async def test_settlements_are_flushed_before_the_end(faulty: Stage, line: Line) -> None:
    line.fail("settle", 3)
    handles = [await note(number).dispatch() for number in range(20)]
    async with faulty.worker():
        await faulty.probe.noted(20)
    assert [await handle.status() for handle in handles] == [State.COMPLETED] * 20
    assert (await (await faulty.driver()).count("default")).leased == 0


async def test_a_store_that_stays_away_does_not_keep_the_worker(faulty: Stage, line: Line) -> None:
    timing = WorkerTiming(engine=EngineTiming(settle_at_end=0.2))
    handle = await note(1).dispatch()
    line.fail("settle", 1000)
    async with faulty.worker(timing=timing):
        await line.failed("settle")
    line.restore()
    assert await handle.status() is State.LEASED  # until its lease ends
    driver = await faulty.driver()
    driver.clock_offset = 1000.0
    await let_tidy(driver)
    await faulty.burst()
    assert await handle.status() is State.COMPLETED
    assert faulty.log == [1, 1]


async def test_a_renewer_that_hangs_does_not_keep_the_worker(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(renewer=RenewerTiming(stop=0.1))
    before = set(threading.enumerate())
    release, hanging = threading.Event(), faulty.flag("hanging")

    def hang(answer: Any) -> Any:
        hanging.set()
        release.wait(
            PATIENCE
        )  # blocks the thread of the renewer, as a client without a timeout may
        return answer

    line.answer("record_worker", hang)
    await note(1).dispatch()
    try:
        async with faulty.worker(timing=timing):
            await faulty.probe.noted(1)
            await hanging.wait()
    finally:
        release.set()
        for thread in set(threading.enumerate()) - before:
            if thread.name == "asynctasq-lease-renewer":
                await asyncio.to_thread(thread.join, PATIENCE)
    assert any("Lease renewer did not stop" in line for line in caplog.messages)


@task
async def starves_the_default_executor() -> None:
    it = probe()
    loop = asyncio.get_running_loop()
    blocked = [loop.run_in_executor(None, it.flag("go on").wait_in_thread) for _ in range(64)]
    it.note("began", len(blocked))


async def test_threads_of_users_do_not_keep_the_worker(stage: Stage) -> None:
    await starves_the_default_executor().dispatch()
    async with stage.worker():
        await stage.probe.noted(1)
    stage.flag("go on").set()


@task
async def knows_its_worker() -> str:
    return current_task().id


async def test_a_running_worker_is_not_started_again(stage: Stage) -> None:
    await gated().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        with pytest.raises(ConfigurationError, match="already running"):
            await worker.start()
        stage.flag("go on").set()


async def test_a_worker_can_be_started_again_as_another(stage: Stage) -> None:
    for _ in range(3):
        handle = await knows_its_worker.dispatch()
        await stage.burst()
        assert await handle.result(timeout=30) == handle


async def test_a_signal_stops_every_worker_of_the_process(stage: Stage) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    handles = [await gated().dispatch(), await gated().dispatch()]
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            worker = stage.make_worker(concurrency=1, handle_signals=True)
            group.create_task(worker.start())

        async def both_run() -> bool:
            return [await handle.status() for handle in handles] == [State.LEASED] * 2

        await eventually(both_run)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        stage.flag("go on").set()
    assert [await handle.status() for handle in handles] == [State.COMPLETED] * 2
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


@asynccontextmanager
async def signalled_worker(stage: Stage, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Start a worker that handles signals and runs a waiting task."""
    working = asyncio.create_task(stage.make_worker(handle_signals=True, **options).start())
    await stage.flag("began").wait()
    yield working
    async with asyncio.timeout(2 * PATIENCE):
        await working


async def test_a_signal_and_its_echo_leave_the_grace(stage: Stage) -> None:
    """A service manager signals the whole group, and a supervisor in it passes it on."""
    handle = await gated().dispatch()
    async with signalled_worker(stage) as working:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not working.done()
        stage.flag("go on").set()
    assert await handle.status() is State.COMPLETED


async def test_a_second_signal_hurries(stage: Stage) -> None:
    timing = WorkerTiming(signals=SignalTiming(echo=0.0))
    handle = await gated().dispatch()
    async with signalled_worker(stage, timing=timing):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert await handle.status() is State.READY


async def test_a_worker_whose_terminal_is_gone_stops(stage: Stage) -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        handle = await gated().dispatch()
        async with signalled_worker(stage):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            stage.flag("go on").set()
        assert await handle.status() is State.COMPLETED
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, former)


async def test_a_worker_under_nohup_goes_on(stage: Stage) -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        await gated().dispatch()
        async with signalled_worker(stage) as working:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)
            stage.flag("go on").set()
            assert not working.done()
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, former)


@task
async def deafens() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await gated.fn()


async def test_a_task_cannot_make_its_worker_ignore_signals(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(signals=SignalTiming(check=0.01))
    handle = await deafens().dispatch()

    async def taken_back() -> bool:
        return "handler of SIGTERM" in caplog.text

    async with signalled_worker(stage, timing=timing):
        await eventually(taken_back)
        os.kill(os.getpid(), signal.SIGTERM)
        stage.flag("go on").set()
    assert await handle.status() is State.COMPLETED


@task
async def blocks_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.set_wakeup_fd(-1)
    await gated.fn()


async def test_a_task_cannot_hold_signals_off(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(signals=SignalTiming(check=0.01))
    handle = await blocks_signals().dispatch()

    async def taken_back() -> bool:
        return "blocked the signals" in caplog.text and "signal wakeup fd" in caplog.text

    async with signalled_worker(stage, timing=timing):
        await eventually(taken_back)
        os.kill(os.getpid(), signal.SIGTERM)
        stage.flag("go on").set()
    assert await handle.status() is State.COMPLETED


async def test_a_message_that_is_cancelled_as_it_starts_leaves_its_slot(
    faulty: Stage, line: Line
) -> None:
    """The lease renewer may interrupt a run between the making of its task and the first step."""
    cancelled = await note(1).dispatch()
    loop = asyncio.get_running_loop()
    worker = faulty.make_worker(concurrency=1)

    def interrupt() -> None:
        [message] = faulty.inspect(worker).held
        assert message.started_at == 0.0
        message.end_early(Interrupt.CANCEL)

    def interrupt_next(deliveries: list[Delivery]) -> list[Delivery]:
        loop.call_soon(interrupt)  # before the first step of the task that is made after this
        return deliveries

    line.answer("reserve", interrupt_next)
    async with faulty.running(worker):
        with pytest.raises(TaskCancelled):
            await cancelled.result(timeout=PATIENCE)
        after = await note(2).dispatch()
        await after.result(timeout=PATIENCE)
    assert faulty.log == [2]
