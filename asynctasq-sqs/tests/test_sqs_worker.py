"""A worker on SQS: it runs, retries and delays tasks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from asynctasq import Snooze, Unique, current_task, task
from asynctasq.errors import CapabilityMissing
from tests.servers.moto_driver import url_of
from tests.worker.stage import Stage, eventually, probe

LEASE = 3.0


@task(name="sqs.note")
async def note(value: int) -> None:
    probe().note(value)


@task(name="sqs.fails", max_attempts=3, retry_delay=0.0)
async def fails() -> None:
    probe().note(("attempt", current_task().attempt))
    raise ValueError("no")


@task(name="sqs.snoozes")
async def snoozes() -> None:
    probe().note(("attempt", current_task().attempt))
    if len(probe().log) == 1:
        raise Snooze(1.0)


@task(name="sqs.waits")
async def waits() -> None:
    probe().note("began")
    await probe().flag("go").wait()
    probe().note("ended")


@pytest.fixture
def address(url: str, namespace: str) -> str:
    return url_of(url, namespace)


@pytest.fixture
async def stage(address: str) -> AsyncIterator[Stage]:
    stage = Stage(address, {"lease": LEASE, "heartbeat_interval": LEASE / 3})
    async with stage.app:
        yield stage


async def dead_letters(stage: Stage) -> int | None:
    driver = await stage.driver()
    count: int | None = (await driver.count("default")).dead
    return count


async def test_tasks_run_once(stage: Stage) -> None:
    async with stage.worker(concurrency=20):
        await asyncio.gather(*(note(number).dispatch() for number in range(50)))
        await stage.probe.noted(50)
    assert sorted(stage.log) == list(range(50))
    driver = await stage.driver()
    counts = await driver.count("default")
    assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)


async def test_failing_task_is_tried_again_and_becomes_a_dead_letter(stage: Stage) -> None:
    async with stage.worker():
        await fails().dispatch()
        await stage.probe.noted(3)

        async def is_dead() -> bool:
            return await dead_letters(stage) == 1

        await eventually(is_dead)
    assert stage.log == [("attempt", 0), ("attempt", 1), ("attempt", 2)]


async def test_snoozed_task_comes_again_uncounted(stage: Stage) -> None:
    async with stage.worker():
        await snoozes().dispatch()
        await stage.probe.noted(2)
    assert stage.log == [("attempt", 0), ("attempt", 0)]


async def test_delayed_task_runs_later(stage: Stage) -> None:
    async with stage.worker():
        await note(1).options(delay=1.0).dispatch()
        await note(2).dispatch()
        await stage.probe.noted(2)
    assert stage.log == [2, 1]


@pytest.mark.full
async def test_task_keeps_its_lease_while_it_runs(stage: Stage) -> None:
    async with stage.worker(concurrency=1):
        await waits().dispatch()
        await stage.probe.noted(1)
        other = stage.make_worker(concurrency=1)
        async with stage.running(other):
            await asyncio.sleep(LEASE * 1.5)  # longer than a lease, which no event can replace
            assert stage.log == ["began"]
            stage.flag("go").set()
            await stage.probe.noted(2)
    assert stage.log == ["began", "ended"]


async def test_what_a_queue_lacks_is_refused_at_dispatch(stage: Stage) -> None:
    with pytest.raises(CapabilityMissing):
        await note(1).options(unique=Unique("key")).dispatch()
