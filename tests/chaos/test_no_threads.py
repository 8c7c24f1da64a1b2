"""A worker for which the system has no thread left still handles signals, and stops cleanly."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.chaos.fleet import WorkerFleet, worker_environment
from tests.chaos.inside.starts import THREAD_NOT_STARTED
from tests.chaos.inside.switches import LOG, SwitchBoard
from tests.chaos.ledger import read_faults, read_started
from tests.chaos.report import Report
from tests.chaos.stores.sqlite import SqliteStore
from tests.cli.processes import until


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[WorkerFleet]:
    """Only a plain worker."""
    (tmp_path / "first").mkdir()
    store = SqliteStore(tmp_path / "store")
    made = WorkerFleet(
        tmp_path, worker_environment(store.kind, store.address), Report(store.kind, 0, 0)
    )
    del made.members[1:]
    try:
        yield made
    finally:
        made.close()


async def test_a_worker_without_threads_for_a_dump_and_its_end_stops_with_exit_code_0(
    fleet: WorkerFleet, tmp_path: Path
) -> None:
    board = SwitchBoard(tmp_path)
    fleet.recruit()
    process = fleet.members[0].process
    assert process is not None
    await until(lambda: process.pid in read_started(tmp_path), "the worker runs")
    board.turn_on(THREAD_NOT_STARTED, 600.0)

    def refused() -> int:
        return read_faults(tmp_path / LOG)[THREAD_NOT_STARTED]

    def dump_was_refused() -> bool:
        process.send_signal(signal.SIGUSR1)  # again, until the switch has reached the worker
        return bool(refused())

    await until(dump_was_refused, "a dump that has no thread")
    process.send_signal(signal.SIGTERM)
    await until(lambda: process.poll() is not None, "the end of the worker")
    assert process.returncode == 0
