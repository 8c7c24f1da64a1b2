"""Worker processes that are killed: what they ran is run by others, and nothing is lost."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asynctasq import State, Worker
from asynctasq.conformance.harness import let_tidy
from asynctasq.message import id_from_text
from asynctasq.worker.timing import SignalTiming
from tests.stores import Store
from tests.worker import killable_worker
from tests.worker.killable_worker import app_on, hangs, steps, steps_in_thread
from tests.worker.stage import PATIENCE, eventually

COUNT = 300
KILLS = 3


class Fleet:
    """Worker processes on one store."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, killable_worker.__file__, self.url, str(self.log)]
        )
        self.processes.append(process)
        return process

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    async def told(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.lines()) >= count

        await eventually(enough)


@pytest.fixture
def fleet(durable_store: Store, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(durable_store.url, tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


async def test_what_a_killed_worker_ran_is_run_by_another(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILL_TEST_MODE", "calm")  # of this process only, in effect: it came later
    async with app_on(fleet.url) as app:
        forgiven = await app.dispatch(hangs())
        unforgiven = await app.dispatch(hangs().options(max_lost=0))
        monkeypatch.delenv("KILL_TEST_MODE")
        process = fleet.start()
        await fleet.told(2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        monkeypatch.setenv("KILL_TEST_MODE", "calm")
        driver: Any = await app.driver()
        assert await forgiven.status() is State.LEASED
        driver.clock_offset = 10 * killable_worker.LEASE
        await let_tidy(driver)
        await Worker(app=app, burst=True, handle_signals=False).start()
        assert await forgiven.result(timeout=30) == "attempt 0"
        [letter] = (await driver.dead_letters()).items
        assert (letter.message.id, letter.reason.value, letter.attempts, letter.lost) == (
            id_from_text(unforgiven),
            "lost",
            0,
            1,
        )


async def test_a_worker_that_stood_still_keeps_what_it_runs(fleet: Fleet) -> None:
    async with app_on(fleet.url) as app:
        unforgiven = await app.dispatch(hangs().options(max_lost=0))
        process = fleet.start()
        await fleet.told(1)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2 * killable_worker.LEASE)  # its lease has to end meanwhile
        process.send_signal(signal.SIGCONT)
        for number in range(3):
            step = await app.dispatch(steps(number))
            assert await step.result(timeout=PATIENCE) == number
        assert await unforgiven.status() is State.LEASED
        assert "began" in fleet.lines()


async def test_kills_at_random_moments_lose_nothing(fleet: Fleet) -> None:
    random_ = random.Random(7)
    async with app_on(fleet.url) as app:
        handles = await app.dispatch_many(
            [(steps if number % 2 else steps_in_thread)(number) for number in range(COUNT)]
        )
        for _ in range(KILLS):
            process = fleet.start()
            await fleet.told(len(fleet.lines()) + random_.randint(1, COUNT // KILLS // 2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        fleet.start()
        async with asyncio.timeout(3 * PATIENCE):
            results = await asyncio.gather(*(handle.result() for handle in handles))
        assert results == list(range(COUNT))
        runs = Counter(fleet.lines())
        assert runs.keys() == {f"ran {number}" for number in range(COUNT)}
        # Twice is what was running or not yet settled when its worker was killed: a few each time.
        assert sum(runs.values()) - COUNT < COUNT


async def test_a_terminated_worker_gives_back_what_it_holds(fleet: Fleet) -> None:
    async with app_on(fleet.url) as app:
        handle = await app.dispatch(hangs())
        process = fleet.start()
        await fleet.told(1)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(2 * SignalTiming().echo)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        driver: Any = await app.driver()
        [snapshot] = await driver.find([id_from_text(handle)])
        assert (snapshot.state, snapshot.attempt, snapshot.lost) == (State.READY, 0, 0)
