"""Tasks that wait for the results of other tasks lend their slot, or are reported when they hold all slots."""

import asyncio
import logging

import pytest

from asynctasq import State, task
from asynctasq.errors import TaskCancelled
from tests.worker.conftest import MakeStage
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.sampled(2)


@task
async def count_down(depth: int) -> int:
    if depth == 0:
        return 0
    handle = await count_down(depth - 1).dispatch()
    return await handle.result() + 1


@task
async def gather(count: int) -> list[int]:
    handles = [await count_down(0).dispatch() for _ in range(count)]
    return await asyncio.gather(*(handle.result() for handle in handles))


@task
async def waits_with_timeout() -> str:
    handle = await count_down(0).delay(3000).dispatch()
    try:
        await handle.result(timeout=0.01)
    except TimeoutError:
        return "timed out"
    return "never"


@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_a_task_that_waits_lends_its_slot(stage: Stage, concurrency: int) -> None:
    async with stage.worker(concurrency=concurrency):
        deep = [await count_down(depth).dispatch() for depth in (6, 6, 6)]
        wide = [await gather(5).dispatch() for _ in range(3)]
        assert [await handle.result(timeout=PATIENCE) for handle in deep] == [6] * 3
        assert [await handle.result(timeout=PATIENCE) for handle in wide] == [[0] * 5] * 3
        late = await waits_with_timeout().dispatch()
        assert await late.result(timeout=PATIENCE) == "timed out"


async def test_a_burst_runs_tasks_for_which_others_wait(stage: Stage) -> None:
    handle = await count_down(4).dispatch()
    await stage.burst(concurrency=1)
    assert await handle.result(timeout=PATIENCE) == 4


@task
async def waits_for_signal() -> None:
    handle = await goes_first().dispatch()
    probe().note("waits")
    await handle.result()
    probe().slots += 1
    probe().note(probe().slots)
    await asyncio.sleep(0)
    probe().slots -= 1


@task(queue="inner")
async def goes_first() -> None:
    await probe().flag("go").wait()


async def test_tasks_that_go_on_are_at_most_twice_the_concurrency(stage: Stage) -> None:
    async with stage.worker(concurrency=2, queues=["default"]), stage.worker(queues=["inner"]):
        handles = [await waits_for_signal().dispatch() for _ in range(20)]
        await stage.probe.noted(20)
        stage.flag("go").set()
        for handle in handles:
            await handle.result(timeout=PATIENCE)
    counts = [each for each in stage.log if each != "waits"]
    assert len(counts) == 20
    assert max(counts) <= 4


async def test_a_waiting_task_can_be_cancelled(stage: Stage) -> None:
    @task
    async def waits() -> None:
        handle = await count_down(0).delay(3000).dispatch()
        probe().note("waits")
        await handle.result()

    async with stage.worker(concurrency=1):
        handle = await waits().dispatch()
        await stage.probe.noted(1)
        await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle.result(timeout=PATIENCE)
        after = await count_down(2).dispatch()
        assert await after.result(timeout=PATIENCE) == 2


async def test_a_waiting_task_is_given_back_when_the_worker_stops(make_stage: MakeStage) -> None:
    @task
    async def waits() -> None:
        handle = await count_down(0).delay(3000).dispatch()
        probe().note("waits")
        await handle.result()

    stage = await make_stage(grace_period=0)
    handle = await waits().dispatch()
    async with stage.worker(concurrency=1):
        await stage.probe.noted(1)
    assert await handle.status() is State.READY


def waits_in_thread(stage: Stage) -> str:
    loop = stage.probe.loop
    handle = count_down(0).dispatch_sync()
    return str(asyncio.run_coroutine_threadsafe(handle.result(), loop).result(PATIENCE))


async def test_threads_that_hold_all_slots_are_reported(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    @task
    def waits() -> str:
        return waits_in_thread(stage)

    async def reported() -> bool:
        return any("needs a slot" in record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.WARNING):
        async with stage.worker(concurrency=1):
            handle = await waits().dispatch()
            await eventually(reported)
            async with stage.worker(concurrency=1):  # another one runs what it waits for
                assert await handle.result(timeout=PATIENCE) == "0"
    [record] = [each for each in caplog.records if "needs a slot" in each.getMessage()]
    assert str(handle) in record.getMessage()
    assert "count_down" in record.getMessage()


async def test_the_limit_of_a_queue_is_not_lent(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    @task(queue="few")
    async def waits() -> int:
        handle = await count_down(0).on_queue("few").dispatch()
        return await handle.result()

    async def reported() -> bool:
        return any("needs a slot" in record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.WARNING):
        async with stage.worker(concurrency=10, queues=["few:1", "default"]):
            handle = await waits().dispatch()
            await eventually(reported)
            async with stage.worker(queues=["few"]):
                assert await handle.result(timeout=PATIENCE) == 0
    [record] = [each for each in caplog.records if "needs a slot" in each.getMessage()]
    assert "Raise the limit of the queue" in record.getMessage()


async def test_waiting_tasks_that_max_tasks_interrupts_are_reported(
    make_stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    @task
    async def waits() -> int:
        handle = await count_down(0).dispatch()
        return await handle.result()

    stage = await make_stage(grace_period=1)
    handle = await waits().dispatch()
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(PATIENCE):
            await stage.make_worker(max_tasks=1, concurrency=1).start()
    [record] = [each for each in caplog.records if "Raise max_tasks" in each.getMessage()]
    assert str(handle) in record.getMessage()
    assert await handle.status() is State.READY
