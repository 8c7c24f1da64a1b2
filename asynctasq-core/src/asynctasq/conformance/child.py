"""Child processes for `asynctasq.conformance.processes`: their work, and their start.

A child notes what it does in a file of its own, one line a write, so that everything it noted
before a SIGKILL is there. It reads commands from its standard input.
"""

import asyncio
import json
import os
import pickle
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from asynctasq.contracts.driver import Driver
from asynctasq.message import Lease, Message
from asynctasq.records import record
from asynctasq.settlement import Complete, ErrorInfo, Release, Retry, Settled, Settlement

LEASE = 1000.0
"""Seconds: longer than any test."""
SHORT_LEASE = 0.5
"""Seconds: so short that the messages of killed processes come back while others work."""
MAX_LOST = 1_000_000
COMPLETED_SHARE = 0.1
TIMEOUT = 60.0
_ERROR = ErrorInfo("builtins.RuntimeError", "again", "")
_COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from asynctasq.conformance.child import main; main()"
)


class Role(StrEnum):
    """The work of a child."""

    PRODUCE = "produce"
    """Enqueue the ids given, in chunks, and end."""
    COMPLETE = "complete"
    """Reserve and complete for ever."""
    CONSUME = "consume"
    """Reserve and settle in every way, for ever."""
    HOLD = "hold"
    """Reserve one message and hold it."""


@record
class Work:
    """One child's task."""

    role: Role
    queue: str
    ids: tuple[bytes, ...] = ()
    chunk: int = 50
    seed: int = 0


@record
class Event:
    """One line of a child's log."""

    name: str
    """`ready`, `start` (leased), `meant` (about to complete), `done` (told DONE), `end`."""
    owner: str
    id: bytes = b""
    token: int | str = 0


# In the child.


class Log:
    """The event log of a child. Each line is one `write`, so a SIGKILL loses no line."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, name: str, lease: Lease | None = None) -> None:
        if lease is None:
            line = f"{name} - -\n"
        else:
            line = f"{name} {lease.id.hex()} {json.dumps(lease.token)}\n"
        os.write(self._file, line.encode())


def main() -> None:
    """Do the work that standard input describes: a pickled `(make_driver, work, path of the log)`."""
    make_driver, work, log_path = pickle.load(sys.stdin.buffer)
    asyncio.run(_work(make_driver(), work, log_path))


async def _work(driver: Driver, work: Work, log_path: Path) -> None:
    log = Log(log_path)
    await driver.open()
    log.note("ready")
    if work.role is Role.PRODUCE:
        await _produce(driver, work)
        await driver.close()
        log.note("end")
    elif work.role is Role.HOLD:
        await _hold(driver, work.queue, log_path.stem, log)
    else:
        await _consume(driver, work, log_path.stem, log)


async def _produce(driver: Driver, work: Work) -> None:
    for start in range(0, len(work.ids), work.chunk):
        await driver.enqueue(
            [
                Message(
                    id=message_id,
                    queue=work.queue,
                    task="asynctasq.testing",
                    body=message_id,
                    max_lost=MAX_LOST,
                )
                for message_id in work.ids[start : start + work.chunk]
            ]
        )


async def _hold(driver: Driver, queue: str, owner: str, log: Log) -> None:
    while True:
        for delivery in await driver.reserve({queue: 1}, limit=1, owner=owner, lease=LEASE):
            log.note("start", delivery.lease)
        await driver.wait([queue], timeout=0.05)


async def _consume(driver: Driver, work: Work, owner: str, log: Log) -> None:
    chance = random.Random(work.seed)
    lease = LEASE if work.role is Role.COMPLETE else SHORT_LEASE
    while True:
        deliveries = await driver.reserve({work.queue: 10}, limit=10, owner=owner, lease=lease)
        if not deliveries:
            await driver.wait([work.queue], timeout=0.05)
            continue
        for delivery in deliveries:
            log.note("start", delivery.lease)
        settlements = [
            Complete(delivery.lease, f"{owner}:{delivery.lease.token}".encode())
            if work.role is Role.COMPLETE
            else _any_settlement(delivery.lease, owner, chance)
            for delivery in deliveries
        ]
        completions = [s for s in settlements if isinstance(s, Complete)]
        for completion in completions:
            log.note("meant", completion.lease)
        answers = await driver.settle(settlements)
        for settlement, answer in zip(settlements, answers, strict=True):
            if answer is Settled.DONE and isinstance(settlement, Complete):
                log.note("done", settlement.lease)


def _any_settlement(lease: Lease, owner: str, chance: random.Random) -> Settlement:
    """Mostly not the end, and never for half of the messages: so there is work until the last kill."""
    drawn = chance.random()
    if drawn < COMPLETED_SHARE and lease.id[-1] % 2:
        return Complete(lease, f"{owner}:{lease.token}".encode())
    if drawn < 0.5:
        return Retry(lease, 0.0, _ERROR)
    if drawn < 0.6:
        return Retry(lease, 0.05, _ERROR)
    return Release(lease)


# In the parent.


class Child:
    """A process that was started."""

    def __init__(self, work: Work, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.work = work
        self.process = process
        self.log = log
        self.killed = False
        self._events: list[Event] = []
        self._position = 0

    def events(self) -> list[Event]:
        """All events that the process has logged so far."""
        if self.log.exists():
            with self.log.open("rb") as log:
                log.seek(self._position)
                noted = log.read().rpartition(b"\n")[0]
            if noted:
                self._position += len(noted) + 1
                self._events += map(self._parse, noted.splitlines())
        return self._events

    def _parse(self, line: bytes) -> Event:
        name, message_id, token = line.decode().split()
        if message_id == "-":
            return Event(name, self.log.stem)
        return Event(name, self.log.stem, bytes.fromhex(message_id), json.loads(token))

    def has(self, name: str) -> bool:
        return any(event.name == name for event in self.events())

    def check(self) -> bool:
        """Return True if the process is alive.

        Raises:
            AssertionError: the process exited by itself, with an error.
        """
        status = self.process.poll()
        if status and not self.killed:
            error = self.log.with_suffix(".err").read_text()
            raise AssertionError(f"a {self.work.role} process ended with status {status}:\n{error}")
        return status is None


class Children:
    """The processes of one test; killed at its end, whatever happens."""

    def __init__(self, make_driver: Callable[[], Driver], folder: Path) -> None:
        self._make_driver = make_driver
        self._folder = folder
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_all()

    def start(self, work: Work) -> Child:
        log = self._folder / f"{work.queue}.{len(self._children)}.log"
        told = pickle.dumps((self._make_driver, work, log))
        with log.with_suffix(".err").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stderr=errors,
            )
        child = Child(work, process, log)
        self._children.append(child)
        if process.stdin is not None:
            # One that ended at once has said why; `check` tells it.
            with suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(told)
        return child

    def alive(self) -> list[Child]:
        return [child for child in self._children if child.check()]

    def events(self) -> list[Event]:
        return [event for child in self._children for event in child.events()]

    def kill(self, child: Child) -> None:
        child.killed = True
        child.process.kill()
        child.process.wait()

    def kill_all(self) -> None:
        for child in self._children:
            child.killed = True
            child.process.kill()
        for child in self._children:
            child.process.wait()

    def ready(self) -> list[Child]:
        """Return the children that are alive and have opened their driver."""
        return [child for child in self.alive() if child.has("ready")]

    def wait_until(self, happened: Callable[[], bool], *, timeout: float = TIMEOUT) -> None:
        """Wait until `happened` returns True.

        Raises:
            AssertionError: it did not return True in time, or a child ended with an error.
        """
        deadline = time.monotonic() + timeout
        while not happened():
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                noted = Counter(event.name for event in self.events())
                raise AssertionError(f"processes are stuck after {timeout} s; noted {dict(noted)}")
            time.sleep(0.01)
