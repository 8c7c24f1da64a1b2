"""The project and processes of the command-line tests, with tasks that misbehave."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.conftest import app as app
from tests.cli.conftest import invoke as invoke
from tests.cli.conftest import runs as runs
from tests.cli.conftest import start_worker as start_worker
from tests.cli.projects import imported

TASKS = '''\
import asyncio
import logging
import os
import signal
import threading
import time
from pathlib import Path

from asynctasq import current_task, task

log = logging.getLogger("shop")


def note(text: str) -> None:
    """Tell the test that a task runs: where, and after how many failed runs."""
    with Path("runs.txt").open("a") as file:
        file.write(f"{text} {os.getpid()} {current_task().attempt}\\n")


def until_there(name: str) -> None:
    while not Path(name).exists():
        time.sleep(0.02)


@task
async def add(a: int, b: int) -> int:
    log.info("adding", extra={"terms": 2})
    return a + b


@task
def add_in_thread(a: int, b: int) -> int:
    log.info("adding")
    return a + b


@task(process=True)
def add_elsewhere(a: int, b: int) -> int:
    log.info("adding")
    return a + b


@task(max_attempts=2, retry_delay=0)
async def flaky(secret: str) -> str:
    log.warning("trying")
    if current_task().attempt == 0:
        raise ConnectionError("try again")
    return "done"


@task
async def held(until: str) -> int:
    """Runs until a file of that name exists."""
    note("held")
    while not Path(until).exists():
        await asyncio.sleep(0.02)
    return os.getpid()


@task
def held_in_thread(until: str) -> int:
    note("held_in_thread")
    until_there(until)
    return os.getpid()


@task(process=True)
def held_elsewhere(until: str) -> int:
    note("held_elsewhere")
    until_there(until)
    return os.getpid()


@task
async def block(until: str) -> int:
    """Blocks the event loop of its worker, the first time."""
    note("block")
    until_there(until)
    return os.getpid()


@task
async def block_once() -> int:
    """Blocks the event loop of the first worker for good."""
    first = not Path("runs.txt").exists()
    note("block_once")
    if first:
        until_there("never")
    return os.getpid()


@task
async def die(number: int) -> None:
    """Takes its worker with it, the first time."""
    first = not Path("runs.txt").exists()
    note("die")
    if first:
        os.kill(os.getpid(), number)


@task
async def leave(code: int) -> int:
    """Ends its worker's process, the first time."""
    first = not Path("runs.txt").exists()
    note("leave")
    if first:
        os._exit(code)
    return os.getpid()


@task
async def deafen(until: str) -> None:
    """Keeps taking its worker's handler of SIGTERM."""
    note("deafen")
    while not Path(until).exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await asyncio.sleep(0.02)


@task(max_attempts=1)
async def cancel_all(until: str) -> None:
    """Cancel all tasks on its loop, the first time."""
    note("cancel_all")
    while not Path(until).exists():
        await asyncio.sleep(0.02)
    if len(Path("runs.txt").read_text().splitlines()) > 2:
        return
    for each in asyncio.all_tasks():
        each.cancel()
    await asyncio.sleep(60)


@task
async def endless_thread() -> None:
    """Leave a thread that cannot be stopped."""
    threading.Thread(target=threading.Event().wait).start()


@task
async def endless_wait() -> None:
    """Waits for such a thread, and gives up; at its end, the loop would wait for it again."""
    try:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(threading.Event().wait)
    except TimeoutError:
        pass


@task
async def grow(megabytes: int) -> int:
    """Makes its worker larger for good."""
    note("grow")
    kept.append(b"x" * (megabytes * 2**20))
    return os.getpid()


@task
async def swallow(until: str) -> int:
    """Refuses to be cancelled."""
    note("swallow")
    while not Path(until).exists():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            note("cancelled")
    return os.getpid()


kept: list[bytes] = []
'''


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the module `shop` in the current folder, imported here too."""
    with imported("shop", TASKS, tmp_path, monkeypatch) as module:
        yield module
