"""A worker on SQS: it runs, retries and delays tasks, releases them when it stops, and may be killed."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from asynctasq import Snooze, Unique, current_task, task
from asynctasq.errors import CapabilityMissing
from tests.servers.moto_driver import SETTINGS
from tests.worker import killable_worker
from tests.worker.killable_worker import app_on, steps
from tests.worker.stage import PATIENCE, Stage, eventually, probe

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
    settings = {**SETTINGS, "endpoint_url": url, "namespace": namespace}
    return f"sqs://?{urlencode(settings)}"


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


class Fleet:
    """Worker processes on one queue."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, killable_worker.__file__, self.url, str(self.log)]
        self.processes.append(subprocess.Popen(command))

    def kill_one(self, choose: random.Random) -> None:
        process = self.processes.pop(choose.randrange(len(self.processes)))
        process.kill()
        process.wait()

    def ran(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines() if self.log.exists() else [])


@pytest.fixture
def fleet(address: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(address, tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("count", "kills"), [(60, 2), pytest.param(300, 6, marks=pytest.mark.full)]
)
async def test_no_task_is_lost_when_workers_are_killed(
    fleet: Fleet, count: int, kills: int
) -> None:
    choose = random.Random(7)
    async with app_on(fleet.url):
        for number in range(count):
            await steps(number).dispatch()
        for _ in range(2):
            fleet.start()
        for kill in range(kills):

            async def went_on(share: int = (kill + 1) * count // (kills + 2)) -> bool:
                return len(fleet.ran()) >= share

            await eventually(went_on)
            fleet.kill_one(choose)
            fleet.start()

        async def is_over() -> bool:
            return len(fleet.ran()) == count

        async with asyncio.timeout(2 * PATIENCE):
            await eventually(is_over)
    repeated = sum(fleet.ran().values()) - count
    assert (
        repeated < count
    )  # those that were running, or not yet settled, when their worker was killed
