"""The tasks of a storm. Each writes its beginning and its effect to files outside the store."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from asynctasq import Reject, Snooze, current_task, task
from tests.chaos.inside.switches import LOG
from tests.chaos.ledger import EFFECTS, FOLDER, Pen

LEASE = 2.0
"""Seconds."""
CURED = "cured"
"""File whose presence cures hopeless tasks."""
DESCRIPTORS_EXHAUSTED = "descriptors exhausted by a task"
MEGABYTE = 2**20

_folder = Path(os.environ.get(FOLDER, "."))
_pens: dict[str, Pen] = {}
_kept: list[bytes] = []


class Trouble(Exception):
    """The error that tasks of a storm raise."""


def _write(file: str, text: str) -> None:
    if file not in _pens:
        _pens[file] = Pen(_folder / file)
    _pens[file].write(text)


def _mark(what: str, n: int) -> None:
    current = current_task()
    message = current.id.replace("-", "")
    _write(EFFECTS, f"{what} {n} {message} {current.attempt} {os.getpid()} {time.time():.6f}\n")


def begin(n: int) -> None:
    _mark("B", n)


def end(n: int) -> int:
    _mark("E", n)
    return n * 2


def is_first(name: str) -> bool:
    """Return whether this is the first call with this name, in any process."""
    try:
        (_folder / "first" / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if FOLDER in os.environ:  # now, as a fault may exhaust the descriptors later
    for each in (EFFECTS, LOG):
        _pens[each] = Pen(_folder / each)


@task(name="chaos.plain")
async def plain(n: int) -> int:
    begin(n)
    await asyncio.sleep(0.15 if n % 17 == 0 else 0)
    return end(n)


@task(name="chaos.flaky")
async def flaky(n: int) -> int:
    """Fails twice."""
    begin(n)
    if current_task().attempt < 2:
        raise Trouble(n)
    return end(n)


@task(name="chaos.hopeless", max_attempts=2, retry_delay=0.2)
async def hopeless(n: int) -> int:
    """Fails until it is cured."""
    begin(n)
    if not (_folder / CURED).exists():
        raise Trouble(n)
    return end(n)


@task(name="chaos.rejected")
async def rejected(n: int) -> int:
    begin(n)
    raise Reject("not wanted")


@task(name="chaos.progressing")
async def progressing(n: int) -> int:
    begin(n)
    for step in range(3):
        current_task().report({"step": step, "n": n})
        await asyncio.sleep(0.03)
    return end(n)


@task(name="chaos.sleeper")
async def sleeper(n: int) -> int:
    """Sleeps until it is cancelled."""
    begin(n)
    await asyncio.sleep(600)
    return end(n)


@task(name="chaos.snoozing")
async def snoozing(n: int) -> int:
    begin(n)
    if is_first(f"snoozed-{n}"):
        raise Snooze(0.3)
    return end(n)


@task(name="chaos.once", max_lost=0)
async def once(n: int) -> int:
    """Must not run again after its worker was lost."""
    begin(n)
    await asyncio.sleep(0.02)
    return end(n)


@task(name="chaos.threaded")
def threaded(n: int) -> int:
    begin(n)
    time.sleep(0.02)
    return end(n)


@task(name="chaos.computing", process=True)
def computing(n: int) -> int:
    begin(n)
    return end(n)


@task(name="chaos.computing_async", process=True)
async def computing_async(n: int) -> int:
    begin(n)
    await asyncio.sleep(0)
    return end(n)


@task(name="chaos.blocking")
async def blocking(n: int) -> int:
    """Blocks the event loop for longer than a lease."""
    begin(n)
    time.sleep(1.5 * LEASE)  # noqa: ASYNC251 - the purpose of this task
    return end(n)


@task(name="chaos.exits_worker")
async def exits_worker(n: int) -> int:
    """Exit the worker process, on the first run."""
    begin(n)
    if is_first(f"exited-{n}"):
        os._exit(9)
    return end(n)


@task(name="chaos.exits_child", process=True, max_attempts=2)
def exits_child(n: int) -> int:
    """Exit the process on every run."""
    begin(n)
    os._exit(7)


@task(name="chaos.killed_child", process=True)
def killed_child(n: int) -> int:
    """Is killed twice, as the kernel does when memory is short."""
    begin(n)
    if current_task().attempt < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return end(n)


@task(name="chaos.growing_child", process=True)
def growing_child(n: int) -> int:
    """Allocate more memory than a child may keep."""
    begin(n)
    _kept.append(b"x" * (200 * MEGABYTE))
    return end(n)


@task(name="chaos.hanging", process=True, timeout=0.5, max_attempts=2)
def hanging(n: int) -> int:
    """Run past the timeout."""
    begin(n)
    time.sleep(600)
    return end(n)


@task(name="chaos.hogging")
async def hogging(n: int) -> int:
    """Open files until the process has no descriptor left, and keep them for a moment."""
    begin(n)
    opened: list[int] = []
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        _write(LOG, f"{time.time():.6f} {os.getpid()} {DESCRIPTORS_EXHAUSTED}\n")
        await asyncio.sleep(1.0)
    finally:
        for fd in opened:
            os.close(fd)
    return end(n)
