"""A deploy: workers are restarted one after the other while there is work to do."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asynctasq import App, State
from asynctasq.contracts.capabilities import SupportsInspect
from tests.cli.processes import DEADLINE_SECONDS, WorkerProcess, until
from tests.cli.projects import imported

TASKS = """\
import asyncio
import time
from pathlib import Path

from asynctasq import current_task, task


def note(what: str, number: int) -> None:
    with Path("runs.txt").open("a") as file:
        file.write(f"{what} {number} {current_task().attempt}\\n")


@task
async def in_loop(number: int) -> None:
    note("begin", number)
    await asyncio.sleep(0.05)
    note("end", number)


@task
def in_thread(number: int) -> None:
    note("begin", number)
    time.sleep(0.05)
    note("end", number)


@task(process=True)
def elsewhere(number: int) -> None:
    note("begin", number)
    time.sleep(0.02)
    note("end", number)


@task
async def longer_than_grace(number: int) -> None:
    note("begin", number)
    while not Path("deployed").exists():
        await asyncio.sleep(0.02)
    note("end", number)
"""

OPTIONS = [
    "--app",
    "deployed_tasks",
    "--concurrency",
    "6",
    "--process-pool-size",
    "1",
    "--grace-period",
    "1",
]


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with imported("deployed_tasks", TASKS, tmp_path, monkeypatch) as module:
        yield module


async def unsettled(app: App) -> list[tuple[int, int]]:
    """Return the finished runs and losses of every message that is not done."""
    driver = await app.driver()
    assert isinstance(driver, SupportsInspect)
    found = []
    for state in (State.READY, State.SCHEDULED, State.LEASED):
        page = await driver.browse(state, limit=1000)
        found += [(each.attempt, each.lost) for each in page.items]
    return found


@pytest.mark.full
async def test_a_rolling_restart_loses_nothing_repeats_nothing_and_burns_no_attempt(
    app: App,
    tasks: Any,
    start_worker: Callable[..., WorkerProcess],
    runs: Callable[[], list[list[str]]],
    tmp_path: Path,
) -> None:
    kinds = [tasks.in_loop] * 4 + [tasks.in_thread] * 3 + [tasks.elsewhere] * 3
    calls = [kinds[number % len(kinds)](number) for number in range(300)]
    calls[5:5] = [tasks.longer_than_grace(number) for number in range(300, 304)]
    workers = [start_worker(*OPTIONS) for _ in range(3)]
    for worker in workers:
        await worker.told(" started (")
    handles = await app.dispatch_many(calls)
    await until(lambda: len(runs()) > 10, "work is being done")
    for worker in workers:
        worker.send(signal.SIGTERM)
        following = start_worker(*OPTIONS)
        assert await worker.ended() == 0, worker.output
        assert set(await unsettled(app)) <= {(0, 0)}
        await following.told(" started (")
    (tmp_path / "deployed").touch()
    for handle in handles:
        await handle.result(timeout=DEADLINE_SECONDS)
    ends = Counter(number for what, number, _ in runs() if what == "end")
    assert ends == {str(number): 1 for number in range(304)}
    assert {attempt for _, _, attempt in runs()} == {"0"}
    begins = Counter(number for what, number, _ in runs() if what == "begin")
    assert {number for number, count in begins.items() if count > 1} == {"300", "301", "302", "303"}
