"""Tasks that do not end when they are to, and a store that takes no settlements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import Worker, task
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.executors.loop import LoopExecutor, LoopTiming
from asynctasq.message import State
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.worker.slots import PREFETCH_MAX
from asynctasq.worker.timing import EngineTiming, WorkerTiming
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import Stage, eventually, probe


@task(max_attempts=1)
async def refuses() -> None:
    it = probe()
    it.flag("began").set()
    while not it.flag("go on").is_set:
        try:
            await it.flag("go on").wait()
        except asyncio.CancelledError:
            it.note("cancelled")


@task
async def nothing() -> None:
    pass


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        driver: Any = FaultyDriver(MemoryDriver(), Line())
        made = Stage(driver, {})
        await stack.enter_async_context(made.app)
        stack.callback(made.app.close_sync)
        yield made


def told(caplog: pytest.LogCaptureFixture, text: str) -> Any:
    async def found() -> bool:
        return text in caplog.text

    return found


async def test_a_task_that_swallows_its_cancellation_is_reported(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(engine=EngineTiming(refusal=0.05))
    handle = await refuses().dispatch()
    async with stage.worker(timing=timing):
        await stage.flag("began").wait()
        await handle.cancel()
        await eventually(told(caplog, "swallows its cancellation"))
        assert str(handle) in caplog.text
        assert await stage.state(handle) is State.LEASED
        stage.flag("go on").set()
        await stage.until(handle, State.COMPLETED)  # the task had finished anyway
    assert stage.log == ["cancelled"]


async def report_refusals_after(seconds: float, stage: Stage, worker: Worker) -> None:
    """Set the time after a timeout at which a task that still runs is reported."""

    async def is_open() -> bool:
        return worker.inspect() is not None

    await eventually(is_open)
    executor = stage.inspect(worker).executors[ExecutionMode.LOOP]
    assert isinstance(executor, LoopExecutor)
    executor.timing = LoopTiming(refusal=seconds)


async def test_a_task_that_swallows_its_time_out_is_reported(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.worker() as worker:
        await report_refusals_after(0.05, stage, worker)
        handle = await refuses().options(timeout=0.05).dispatch()
        await eventually(told(caplog, "exceeded its timeout of 0.05 s"))
        assert str(handle) in caplog.text
        stage.flag("go on").set()


async def test_what_ends_when_it_is_to_is_not_reported(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.worker() as worker:
        await report_refusals_after(0.0, stage, worker)
        handle = await nothing().options(timeout=60).dispatch()
        await stage.until(handle, State.COMPLETED)
    assert "swallows" not in caplog.text


async def test_what_is_held_is_bounded_although_nothing_can_be_settled(stage: Stage) -> None:
    assert isinstance(stage.template, FaultyDriver)
    stage.template.line.hold("settle", stage.flag("go on"), reached=stage.flag("settling"))
    total = 8000
    handles = await stage.app.dispatch_many([nothing() for _ in range(total)])
    async with stage.worker(concurrency=10) as worker:
        await stage.flag("settling").wait()
        held = 0

        async def no_more_are_fetched() -> bool:
            nonlocal held
            before, held = held, len(stage.inspect(worker).held)
            await asyncio.sleep(0.05)
            return held >= 1000 and held == before

        await eventually(no_more_are_fetched)
        assert held < 4 * 10 + 3 * PREFETCH_MAX + 10
        stage.flag("go on").set()
        await stage.until(handles[-1], State.COMPLETED)
