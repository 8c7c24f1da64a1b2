"""Requests of operators that workers follow: to be quiet, to run again, and to stop."""

import asyncio

import pytest

from asynctasq import task
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.errors import DriverError, TaskCancelled
from asynctasq.worker.timing import RenewerTiming, WorkerTiming
from tests.worker.faulty_driver import Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store
SOON = WorkerTiming(renewer=RenewerTiming(tick=0.05, requests=0.05))


@task
async def held(name: str) -> str:
    probe().note(name)
    await probe().flag(name).wait()
    return name


async def request(stage: Stage, wish: WorkerRequest, *ids: str) -> list[WorkerRequest | None]:
    return await stage.app.request_workers(ids, wish)


async def until_phase(stage: Stage, phase: str) -> None:
    async def reached() -> bool:
        return [each.phase for each in await stage.app.workers()] == [phase]

    await eventually(reached)


async def until_ready(stage: Stage, number: int) -> None:
    async def reached() -> bool:
        return (await stage.app.queues.count("default")).ready == number

    await eventually(reached)


async def test_a_quiet_worker_finishes_what_runs_and_takes_nothing_until_it_is_resumed(
    stage: Stage,
) -> None:
    async with stage.worker(worker_id="w1", concurrency=1, timing=SOON) as worker:
        first = await held("first").dispatch()
        await stage.probe.noted(1)
        await until_phase(stage, "running")
        # It may have been prefetched, and is given back then.
        second = await held("second").dispatch()
        for _ in range(2):
            assert await request(stage, WorkerRequest.QUIET, "w1") == [WorkerRequest.QUIET]
        await until_phase(stage, "quiet")
        stage.flag("first").set()
        assert await first.result(timeout=PATIENCE) == "first"

        async def holds_nothing() -> bool:
            return not stage.inspect(worker).held

        await eventually(holds_nothing)
        await until_ready(stage, 1)
        assert worker.health is not None
        assert not worker.health.ready()["ok"]
        assert worker.health.live()["ok"]
        assert stage.log == ["first"]
        assert await request(stage, WorkerRequest.RUN, "w1") == [WorkerRequest.RUN]
        stage.flag("second").set()
        assert await second.result(timeout=PATIENCE) == "second"
        await until_phase(stage, "running")


async def test_a_worker_that_waits_for_work_becomes_quiet_and_can_be_stopped(stage: Stage) -> None:
    async with stage.worker(worker_id="w1", timing=SOON) as worker:
        await until_phase(stage, "running")
        await request(stage, WorkerRequest.QUIET, "w1")
        await until_phase(stage, "quiet")
        await held("later").dispatch()

        async def is_awake() -> bool:
            return not stage.inspect(worker).fetcher_sleeps

        await eventually(is_awake)
        await until_ready(stage, 1)
        assert not stage.inspect(worker).held


async def test_a_stopped_worker_ends_as_after_a_signal(stage: Stage) -> None:
    worker = stage.make_worker(worker_id="w1", timing=SOON)
    running = asyncio.create_task(worker.start())
    handle = await held("last").dispatch()
    await stage.probe.noted(1)
    await until_phase(stage, "running")
    assert await request(stage, WorkerRequest.STOP, "w1") == [WorkerRequest.STOP]
    await until_phase(stage, "stopping")
    assert await request(stage, WorkerRequest.RUN, "w1") == [WorkerRequest.STOP]
    stage.flag("last").set()
    async with asyncio.timeout(PATIENCE):
        await running
    assert await handle.result(timeout=PATIENCE) == "last"
    assert await stage.app.workers() == []
    assert await request(stage, WorkerRequest.STOP, "w1") == [None]
    # The next worker of this name does not stop.
    async with stage.worker(worker_id="w1", timing=SOON):
        again = await held("again").dispatch()
        stage.flag("again").set()
        assert await again.result(timeout=PATIENCE) == "again"


async def test_a_store_that_refuses_requests_still_cancels_tasks(
    faulty: Stage, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.fail("requests", 1000, error=lambda: DriverError("permission denied"))
    async with faulty.worker(worker_id="w1", timing=SOON):
        handle = await held("never").dispatch()
        await faulty.probe.noted(1)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=PATIENCE)
        await until_phase(faulty, "running")
    warnings = [each.message for each in caplog.records if "requests about" in each.message]
    assert warnings == ["Could not read requests about this worker: permission denied"]
