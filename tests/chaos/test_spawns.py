"""A supervisor that cannot start a process goes on with those that it has."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from asynctasq import App
from asynctasq.drivers.sqlite import SqliteDriver
from tests.chaos.fleet import WorkerFleet, worker_environment
from tests.chaos.inside import tasks
from tests.chaos.inside.app import SETTINGS
from tests.chaos.inside.switches import SwitchBoard
from tests.chaos.kinds import OWN_QUEUES
from tests.chaos.report import Report
from tests.chaos.stores.sqlite import SqliteStore
from tests.cli.processes import until


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[WorkerFleet]:
    """Only a supervisor, with two worker processes."""
    (tmp_path / "first").mkdir()
    SwitchBoard(tmp_path).turn_all_off()
    store = SqliteStore(tmp_path / "store")
    made = WorkerFleet(
        tmp_path, worker_environment(store.kind, store.address), Report(store.kind, 0, 0)
    )
    del made.members[:2]
    made.recruit()
    try:
        yield made
    finally:
        made.close()


@pytest_asyncio.fixture
async def app(tmp_path: Path, fleet: WorkerFleet) -> AsyncIterator[App]:
    """Yield the dispatcher's app on the store of the fleet."""
    driver = SqliteDriver(tmp_path / "store" / "storm.db")
    async with App({"driver": driver, **SETTINGS}) as made:
        yield made


async def _runs(app: App) -> None:
    """Both processes of the supervisor, or the one that is there, run tasks."""
    calls = [tasks.threaded(n).on_queue(OWN_QUEUES[2]) for n in range(20)]
    handles = await app.dispatch_many(calls)
    results = await asyncio.gather(*(each.result(timeout=60.0) for each in handles))
    assert results == [2 * n for n in range(20)]


@pytest.mark.full
async def test_failed_starts_of_a_process_end_neither_the_supervisor_nor_its_other_processes(
    fleet: WorkerFleet, app: App, tmp_path: Path
) -> None:
    log = tmp_path / "workers.log"
    await _runs(app)
    await until(lambda: len(fleet.supervised()) == 2, "both processes run")
    supervisor = fleet.members[0].process
    assert supervisor is not None
    killed, survivor = fleet.supervised()
    away = fleet.interpreter.with_suffix(".away")
    fleet.interpreter.rename(away)
    os.kill(killed, signal.SIGKILL)
    await until(
        lambda: f"No such file or directory: '{fleet.interpreter}'" in log.read_text(),
        "a start that fails",
    )
    await _runs(app)
    away.rename(fleet.interpreter)
    await until(lambda: len(fleet.supervised()) == 2, "another has been started")
    await _runs(app)
    assert supervisor.poll() is None
    assert survivor in fleet.supervised()
