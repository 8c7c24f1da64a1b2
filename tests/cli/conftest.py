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
    """Record a running task with its process and the number of failed runs."""
    with Path("runs.txt").open("a") as file:
        file.write(f"{text} {os.getpid()} {current_task().attempt}\\n")


@task
async def add(a: int, b: int) -> int:
    return a + b


@task
async def held(until: str) -> int:
    """Run until a file exists."""
    note("held")
    while not Path(until).exists():
        await asyncio.sleep(0.02)
    return os.getpid()


@task
def stubborn(until: str) -> None:
    """Run until a file exists, in a thread that cannot be interrupted."""
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
    """Yield the module `tasks` in the current folder, which this process imports, too."""
    with imported("tasks", TASKS, tmp_path, monkeypatch) as module:
        yield module


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Yield an app on the default store of the current folder."""
    async with App({"driver": "sqlite", "sqlite": {"path": str(tmp_path / "asynctasq.db")}}) as app:
        yield app


@pytest.fixture
def start_worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Yield a function that starts worker processes, which are killed after the test."""
    started: list[WorkerProcess] = []

    def start(*arguments: str) -> WorkerProcess:
        started.append(WorkerProcess(arguments))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Yield a function that runs a command in this process."""
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
    """Return a function that reads the records of `note`: name, process, number of failed runs."""
    file = tmp_path / "runs.txt"

    def read() -> list[list[str]]:
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    return read
