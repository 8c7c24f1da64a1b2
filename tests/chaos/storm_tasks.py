"""What the workers of the storm run. Copied into the storm's folder, where worker and children import it.

Everything that happens is appended to two files: `effects.log`, by tasks, and `audit.log`, by the driver.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from asynctasq import App, Reject, Snooze, current_task, task
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Delivery
from asynctasq.settlement import Settled, Settlement

LEASE = 2.0
MAX_ATTEMPTS = 4
MEGABYTE = 2**20


class Trouble(Exception):
    """What tasks raise."""


def append(file: str, text: str) -> None:
    """In one write, so that lines of several processes stay whole."""
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def effect(n: int) -> None:
    append("effects.log", f"{n}\n")


def is_first(name: str) -> bool:
    """Whether this has not been asked before."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class AuditedDriver(SqliteDriver):
    """Writes down every delivery, and what became of every settlement."""

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        found = await super().reserve(queues, limit=limit, owner=owner, lease=lease)
        lines = [
            f"reserve {each.message.id.hex()} {each.lease.token} {each.attempt} {each.lost}\n"
            for each in found
        ]
        if lines:
            append("audit.log", "".join(lines))
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        answers = await super().settle(settlements)
        append(
            "audit.log",
            "".join(
                f"settle {each.lease.id.hex()} {each.lease.token} {type(each).__name__} {answer.name}\n"
                for each, answer in zip(settlements, answers, strict=True)
            ),
        )
        return answers


OF_DISPATCH = {"default_retry_delay": 0.05, "default_max_attempts": MAX_ATTEMPTS}

app = App(
    {
        "driver": AuditedDriver(path="storm.db", synchronous="normal"),
        "lease": LEASE,
        "grace_period": 2.0,
        "process_pool_max_memory": 150 * MEGABYTE,
    }
)


@task
async def quick(n: int) -> int:
    effect(n)
    return n


@task
def in_thread(n: int) -> int:
    effect(n)
    return n


@task(process=True)
def elsewhere(n: int) -> int:
    effect(n)
    return n


@task(process=True)
async def elsewhere_async(n: int) -> int:
    effect(n)
    return n


@task
async def flaky(n: int) -> None:
    if current_task().attempt < 2:
        raise Trouble(n)
    effect(n)


@task
def flaky_in_thread(n: int) -> None:
    if current_task().attempt < 1:
        raise Trouble(n)
    effect(n)


@task(process=True)
def flaky_elsewhere(n: int) -> None:
    if current_task().attempt < 1:
        raise Trouble(n)
    effect(n)


@task
async def hopeless(n: int) -> None:
    raise Trouble(n)


@task
async def rejected(n: int) -> None:
    raise Reject("not wanted")


@task
async def snoozing(n: int) -> None:
    if is_first(f"snoozed-{n}"):
        raise Snooze(0.1)
    effect(n)


@task
async def blocking(n: int) -> None:
    """For longer than a lease."""
    time.sleep(1.5 * LEASE)  # noqa: ASYNC251  what it is for
    effect(n)


@task
def slow_in_thread(n: int) -> None:
    time.sleep(0.5)
    effect(n)


@task
async def exits_worker(n: int) -> None:
    """The first time."""
    if is_first(f"exited-{n}"):
        os._exit(9)
    effect(n)


@task(process=True)
def exits(n: int) -> None:
    """Whenever it runs."""
    os._exit(7)


@task(process=True)
def killed_for_memory(n: int) -> None:
    """As the kernel does it; the last run is spared."""
    if current_task().attempt < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    effect(n)


@task(process=True)
def grows(n: int) -> None:
    kept.append(b"x" * (200 * MEGABYTE))
    effect(n)


@task
async def grows_worker(n: int) -> None:
    """Beyond what it may take: it ends by itself, and another takes its place."""
    kept.append(b"x" * (500 * MEGABYTE))
    effect(n)


@task(process=True, timeout=0.3)
def hangs(n: int) -> None:
    time.sleep(3600)


kept: list[bytes] = []
