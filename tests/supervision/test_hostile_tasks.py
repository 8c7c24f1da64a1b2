"""A task that harms its process, its event loop or its thread affects no other task."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App
from asynctasq.errors import ResultError
from tests.cli.processes import DEADLINE_SECONDS, WorkerProcess
from tests.supervision import hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORKED = {"fork_returns", "fork_raises", "fork_awaits"}
CASES: list[tuple[Any, str]] = [
    *((hostile.InLoop, what) for what in (*hostile.ANYWHERE, *hostile.ON_LOOPS)),
    *((hostile.InThread, what) for what in hostile.ANYWHERE),
    *((hostile.InChild, what) for what in ("fork_returns", "fork_raises", "leaves_a_daemon")),
    *((hostile.InChildLoop, what) for what in ("fork_returns", "fork_awaits", "unnameable")),
]


class Victim:
    """A worker process that has to outlive its tasks."""

    def __init__(self, app: App, process: WorkerProcess) -> None:
        self.app = app
        self.process = process

    async def run(self, made: Any) -> Any:
        """Return the result or the error."""
        try:
            return await (await self.app.dispatch(made)).result(timeout=DEADLINE_SECONDS)
        except ResultError as error:
            return error

    async def is_well(self) -> bool:
        """Return whether tasks of all modes run, in the same process as before."""
        pids = await asyncio.gather(*(self.run(each()) for each in hostile.WELL))
        return pids[:2] == [self.process.pid] * 2 and all(type(pid) is int for pid in pids)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Victim]:
    folder = tmp_path_factory.mktemp("victim")
    url = f"sqlite:///{folder / 'queue.db'}"
    root = str(Path(__file__).parents[2])
    process = WorkerProcess(
        ["--app", hostile.__name__, "--driver", url, "--process-pool-size", "1"],
        folder=folder,
        environment={"PYTHONPATH": root, "ASYNCTASQ_SQLITE_SYNCHRONOUS": "off"},
    )
    try:
        async with App({"driver": url, "sqlite": {"synchronous": "off"}}) as app:
            yield Victim(app, process)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while process.code is None:  # a task has just taken the handler, perhaps
                process.send(signal.SIGTERM)
                await asyncio.sleep(0.5)
        assert process.code == 0, process.output
    finally:
        process.close()


@pytest.mark.parametrize(("kind", "what"), CASES)
async def test_others_run_as_ever(victim: Victim, kind: Any, what: str) -> None:
    told = await victim.run(kind(what))
    if what in FORKED:
        assert told == "exit code 70"
    assert await victim.is_well(), victim.process.output
