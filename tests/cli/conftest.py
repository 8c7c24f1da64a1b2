"""A project with tasks, dispatched from here and run by worker processes."""

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from asynctasq import App
from asynctasq.cli import main
from tests.cli.processes import WorkerProcess
from tests.cli.projects import imported

TASKS = '''\
import asyncio
import os
import time
from pathlib import Path

from asynctasq import Snooze, current_task, task


def note(text: str) -> None:
    """Tell the test that a task runs: where, and after how many failed runs."""
    with Path("runs.txt").open("a") as file:
        file.write(f"{text} {os.getpid()} {current_task().attempt}\\n")


@task
async def add(a: int, b: int) -> int:
    return a + b


@task
async def held(until: str) -> int:
    """Runs until a file of that name exists."""
    note("held")
    while not Path(until).exists():
        await asyncio.sleep(0.02)
    return os.getpid()


@task
def stubborn(until: str) -> None:
    """The same, in a thread that cannot be interrupted."""
    note("stubborn")
    while not Path(until).exists():
        time.sleep(0.02)


@task(max_attempts=2, retry_delay=0)
async def flaky() -> str:
    if current_task().attempt == 0:
        raise ConnectionError("try again")
    return "done"


@task
async def sleepy() -> None:
    raise Snooze(60)


@task(queue="letters")
async def letter(number: int) -> int:
    return number
'''


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module `tasks` in the current folder, imported here too."""
    with imported("tasks", TASKS, tmp_path, monkeypatch) as module:
        yield module


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Dispatches into the store that is the default in the current folder."""
    async with App({"driver": "sqlite", "sqlite": {"path": str(tmp_path / "asynctasq.db")}}) as app:
        yield app


@pytest.fixture
def start_worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Start worker processes; they are gone after the test."""
    started: list[WorkerProcess] = []

    def start(*arguments: str) -> WorkerProcess:
        started.append(WorkerProcess(arguments))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run a command in this process, for those that end before anything is opened."""
    modules = sys.modules.copy()
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("asynctasq.runtime.default", None)
    importlib.invalidate_caches()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="asynctasq")

    yield run
    for name in sys.modules.keys() - modules.keys():
        if not name.startswith("asynctasq"):
            del sys.modules[name]


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """What `note` of the tasks has written: name, process, failed runs before."""
    file = tmp_path / "runs.txt"

    def read() -> list[list[str]]:
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    return read
