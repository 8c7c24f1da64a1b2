"""Worker processes on SQS are killed, also while the service throttles, fails, and delivers twice."""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from asynctasq import App
from tests.servers.moto_driver import url_of
from tests.servers.sqs_proxy import SQSProxy, chance, sqs_proxy
from tests.worker import killable_worker
from tests.worker.killable_worker import app_on, steps
from tests.worker.stage import PATIENCE, eventually

WORKERS = 3
STORM_LEASE = "10"
"""Seconds. The stand-in answers slowly, and leases must end by kills alone."""
STORM_SECONDS = 600.0
CONCURRENCY = 8
"""Slots of a worker process."""
SHARES = {
    "throttle": 0.02,
    "fail_before": 0.02,
    "fail_after": 0.02,
    "cut": 0.02,
    "fail_entries": 0.03,
    "duplicate": 0.03,
}
"""Share of the calls that meet each fault."""
REPEATING = ("fail_after", "cut", "fail_entries", "duplicate")
"""Faults after which SQS delivers up to a batch of messages again."""
BATCH = 10
MANY = 1000
"""Tasks of a storm in which each kind of fault occurs."""


class Fleet:
    """Worker processes on one queue."""

    def __init__(self, url: str, folder: Path, state: str = "") -> None:
        self.url = url
        self.state = state
        self.log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        command = [sys.executable, killable_worker.__file__, self.url, str(self.log)]
        environment = {**os.environ, "KILL_TEST_STATE": self.state}
        self.processes.append(subprocess.Popen(command, env=environment))

    def kill_one(self, choose: random.Random) -> None:
        process = self.processes.pop(choose.randrange(len(self.processes)))
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def ran(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines() if self.log.exists() else [])

    async def run_all(self, count: int, *, kills: int, workers: int) -> None:
        """Let workers run `count` tasks, and kill some of the workers meanwhile."""
        choose = random.Random(7)
        for _ in range(workers):
            self.start()
        for kill in range(kills):

            async def went_on(share: int = (kill + 1) * count // (kills + 2)) -> bool:
                return len(self.ran()) >= share

            await eventually(went_on)
            self.kill_one(choose)
            self.start()

        async with asyncio.timeout(2 * PATIENCE):
            while len(self.ran()) < count:
                await asyncio.sleep(0.05)


@pytest.fixture
def fleet(url: str, namespace: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(url_of(url, namespace), tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("count", "kills"), [(60, 2), pytest.param(300, 6, marks=pytest.mark.full)]
)
async def test_no_task_is_lost_when_workers_are_killed(
    fleet: Fleet, count: int, kills: int
) -> None:
    async with app_on(fleet.url) as app:
        await app.dispatch_many([steps(number) for number in range(count)])
        await fleet.run_all(count, kills=kills, workers=2)
    repeated = fleet.ran().total() - count
    assert repeated < count, "only those that ran, or were not yet settled, at a kill run twice"


async def expect_empty(app: App) -> None:
    """Wait until SQS has no messages."""
    driver = await app.driver()

    async def is_empty() -> bool:
        counts = await driver.count("default")
        return (counts.ready, counts.scheduled, counts.leased, counts.dead) == (0, 0, 0, 0)

    await eventually(is_empty)


@pytest.mark.full
@pytest.mark.timeout(STORM_SECONDS)
@pytest.mark.parametrize(("count", "kills"), [(300, 4), (3000, 12)])
async def test_each_task_ends_once_in_a_storm(
    count: int,
    kills: int,
    url: str,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ledger is that of the state store, which workers and the test share."""
    state = f"sqlite:///{tmp_path / 'state.db'}?synchronous=off"
    monkeypatch.setenv("KILL_TEST_STATE", state)
    monkeypatch.setenv("KILL_TEST_LEASE", STORM_LEASE)
    async with sqs_proxy(url) as proxy, app_on(url_of(url, namespace)) as app:
        fleet = Fleet(url_of(proxy.url, namespace, timeout="5"), tmp_path, state)
        handles = await app.dispatch_many([steps(number) for number in range(count)])
        for number, (name, share) in enumerate(SHARES.items()):
            setattr(proxy, name, chance(number, share))
        try:
            await fleet.run_all(count, kills=kills, workers=WORKERS)
            calm(proxy)
            results = [await handle.result(timeout=PATIENCE) for handle in handles]
            await expect_empty(app)
        finally:
            fleet.stop()
    assert results == list(range(count)), "each task has one end, and none is lost"
    assert count < MANY or set(proxy.met) == set(SHARES), "each kind of fault occurs"
    repeated = fleet.ran().total() - count
    most = kills * 2 * CONCURRENCY + BATCH * sum(proxy.met[name] for name in REPEATING)
    assert repeated <= most


def calm(proxy: SQSProxy) -> None:
    """Let all further calls pass."""
    for name in SHARES:
        setattr(proxy, name, lambda operation: False)
