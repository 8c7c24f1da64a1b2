"""A worker with nothing to do does next to nothing, and ends when it is meant to."""

import asyncio

import pytest

from asynctasq import App, State, Worker, task
from asynctasq.contracts.capabilities import SupportsWorkers
from asynctasq.contracts.driver import Driver
from asynctasq.default import current_app
from asynctasq.errors import ConfigurationError
from asynctasq.worker.services.periodic_work import TASKS_NAMED
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe


@task
async def note(what: int) -> int:
    probe().note(what)
    return what


@task
async def dispatches(depth: int) -> None:
    probe().note(depth)
    if depth:
        await dispatches(depth - 1).dispatch()


@task
async def waits() -> None:
    it = probe()
    it.flag("began").set()
    await it.flag("go on").wait()


async def test_an_idle_worker_waits_rather_than_asks(faulty: Stage, line: Line) -> None:
    async with faulty.worker():
        await line.called("wait")
        for number in range(20):
            before = line.calls["reserve"], line.calls["wait"]
            handle = await note(number).dispatch()
            await handle.result(timeout=PATIENCE)
            await asyncio.sleep(0)
            # One to find it, one to see that there is no more; the same again for a stray hint.
            assert line.calls["reserve"] - before[0] <= 4
            assert line.calls["wait"] - before[1] <= 4


async def test_a_full_worker_asks_for_nothing(faulty: Stage, line: Line) -> None:
    async with faulty.worker(concurrency=1):
        first = await waits.dispatch()
        await faulty.flag("began").wait()
        waiting = [await note(number).dispatch() for number in range(20)]
        reserves = line.calls["reserve"]
        await line.called("requests", 3)  # the pace of the lease renewer
        assert line.calls["reserve"] == reserves
        faulty.flag("go on").set()
        for handle in (first, *waiting):
            await handle.result(timeout=PATIENCE)


async def test_a_burst_ends_when_nothing_is_left(stage: Stage) -> None:
    await dispatches(5).dispatch()
    await stage.burst()
    assert stage.log == [5, 4, 3, 2, 1, 0]


async def test_a_burst_on_an_empty_store_ends_at_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.burst()
    assert [
        record.message
        for record in caplog.records
        if record.levelname != "INFO" and "import_tasks" not in record.message
    ] == []


async def test_a_burst_does_not_wait_for_what_is_not_due(stage: Stage) -> None:
    later = await note(1).delay(1000).dispatch()
    now = await note(2).dispatch()
    await stage.burst()
    assert await later.status() is State.SCHEDULED
    assert await now.result(timeout=1) == 2


@pytest.mark.parametrize("concurrency", [1, 3, 50])
async def test_a_worker_ends_after_so_many_runs(stage: Stage, concurrency: int) -> None:
    handles = [await note(number).dispatch() for number in range(20)]
    async with asyncio.timeout(PATIENCE):
        await stage.make_worker(max_tasks=7, concurrency=concurrency).start()
    assert sorted(stage.log) == list(range(7))
    assert [await handle.status() for handle in handles[7:]] == [State.READY] * 13
    await stage.burst()
    assert sorted(stage.log) == list(range(20))


async def test_nothing_stays_leased_after_a_clean_stop(stage: Stage) -> None:
    handles = [await note(number).dispatch() for number in range(300)]
    async with stage.worker(concurrency=10):
        await stage.probe.noted(100)
    driver = await stage.driver()
    counts = await driver.count("default")
    assert counts.leased == 0
    done = [await handle.status() for handle in handles].count(State.COMPLETED)
    assert done == len(stage.log) == 300 - counts.ready
    assert await driver.workers() == []


async def test_a_worker_is_registered_while_it_runs(stage: Stage) -> None:
    async with stage.worker(worker_id="the worker", queues=["a", "b:3"], concurrency=7):
        driver = await stage.driver()
        await eventually(lambda: is_registered(driver, "running"))
        [info] = await driver.workers()
        assert (info.id, info.queues, info.concurrency) == ("the worker", ("a", "b"), 7)
        assert (info.phase, info.longest_run) == ("running", None)
        assert info.resident_bytes is not None
        assert info.resident_bytes > 1_000_000
        assert info.loop_lag is not None
        assert info.loop_lag >= 0.0
        assert (
            any("test_worker_idle" in name for name in info.tasks) or len(info.tasks) == TASKS_NAMED
        )
    assert await driver.workers() == []


async def test_a_worker_that_stops_is_registered_as_such(stage: Stage) -> None:
    await waits().dispatch()
    async with stage.worker() as worker:
        await stage.flag("began").wait()
        worker.stop()
        driver = await stage.driver()
        await eventually(lambda: is_registered(driver, "stopping"))
        stage.flag("go on").set()


async def is_registered(driver: SupportsWorkers, phase: str) -> bool:
    return [info.phase for info in await driver.workers()] == [phase]


async def test_a_heartbeat_as_long_as_the_lease_is_refused(make_stage: MakeStage) -> None:
    stage = await make_stage(lease=3.0)
    with pytest.raises(ConfigurationError, match="at most half of lease"):
        await stage.make_worker(heartbeat_interval=3.0).start()


async def test_a_worker_takes_no_more_than_it_will_run(faulty: Stage, line: Line) -> None:
    handles = await faulty.app.dispatch_many([note(number) for number in range(10)])
    async with asyncio.timeout(PATIENCE):
        await faulty.make_worker(max_tasks=3, concurrency=100).start()
    assert sorted(faulty.log) == [0, 1, 2]
    stolen = await (await faulty.driver()).reserve({"default": 1}, limit=1, owner="me", lease=9.0)
    assert [delivery.resumed for delivery in stolen] == [False]  # never leased before
    assert len(handles) == 10


async def test_the_app_of_a_worker_is_current_for_as_long_as_it_runs(driver: Driver) -> None:
    outer = App({"driver": "memory"})
    async with outer:
        inner = App({"driver": driver})
        await Worker(app=inner, burst=True, handle_signals=False).start()
        assert current_app() is outer
        await inner.close()
