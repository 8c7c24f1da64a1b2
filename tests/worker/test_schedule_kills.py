"""Processes that fire schedules are killed at any moment: no time is lost, and none fires twice."""

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from asynctasq import App
from asynctasq.contracts.capabilities.schedules import Firing, Schedule
from asynctasq.dispatch.scheduling import definition_of
from asynctasq.message import State
from tests.stores import Store
from tests.worker import scheduling_process
from tests.worker.scheduling_process import tick
from tests.worker.stage import eventually

PAST = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULES = 3_000
KILLS = 4


class Processes:
    def __init__(self, url: str) -> None:
        self._url = url
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, scheduling_process.__file__, self._url])
        self._started.append(process)
        return process

    def kill(self) -> None:
        for process in self._started:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def processes(durable_store: Store) -> Iterator[Processes]:
    made = Processes(durable_store.url)
    yield made
    made.kill()


async def fired(app: App) -> Counter[str]:
    """Return the number of messages of each schedule."""
    driver: Any = await app.driver()
    found: Counter[str] = Counter()
    cursor = None
    while True:
        page = await driver.browse(State.READY, queue="ticks", cursor=cursor)
        found.update(each.message.schedule.schedule for each in page.items)
        cursor = page.cursor
        if cursor is None:
            return found


async def test_a_time_that_was_claimed_by_a_killed_process_fires_once(
    processes: Processes, durable_store: Store
) -> None:
    """The process is killed between the claim and the firing, which comes from it late."""
    async with App({"driver": durable_store.url}) as app:
        driver: Any = await app.driver()
        await tick(1).schedule("tick", at=PAST)
        [claimed] = (await driver.claim_schedules(limit=9, hold=1.0)).schedules
        processes.start()
        processes.start()

        async def has_fired() -> bool:
            return (await fired(app))["tick"] > 0

        await eventually(has_fired)
        messages = definition_of(claimed).messages("tick", [claimed.next_at])
        late = Firing("tick", claimed.revision, claimed.next_at, None, messages)
        assert await driver.fire([late]) == [False]
        assert await fired(app) == {"tick": 1}


@pytest.mark.sampled(2)
async def test_kills_at_any_moment_lose_no_time_and_fire_none_twice(
    processes: Processes, durable_store: Store
) -> None:
    random_ = random.Random(7)
    async with App({"driver": durable_store.url}) as app:
        driver: Any = await app.driver()
        await tick(1).schedule("tick", at=PAST)
        [made] = await driver.find_schedules(["tick"])
        names = [f"tick {number}" for number in range(SCHEDULES)]
        await driver.put_schedules(
            [Schedule(each, made.definition, made.next_at, made.rhythm) for each in names]
        )

        async def have_fired(count: int) -> bool:
            return bool((await driver.count("ticks")).ready >= count)

        for _ in range(KILLS):
            process = processes.start()
            before = (await driver.count("ticks")).ready
            wanted = before + random_.randint(1, SCHEDULES // KILLS // 2)
            await eventually(partial(have_fired, wanted))
            process.send_signal(signal.SIGKILL)
            process.wait()
        processes.start()
        processes.start()
        await eventually(partial(have_fired, SCHEDULES + 1))
        counts = await fired(app)
    assert counts == dict.fromkeys(["tick", *names], 1)
