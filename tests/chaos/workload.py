"""The dispatcher of a storm: sends tasks at a steady rate, awaits results, and cancels sleepers."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from asynctasq import App, Handle, Unique
from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.errors import (
    DriverError,
    DriverUnavailable,
    ResultError,
    TaskCancelled,
    TaskFailed,
)
from asynctasq.message import id_from_text
from tests.chaos.kinds import QUEUES, Kind
from tests.chaos.ledger import Pen

T = TypeVar("T")

DISPATCHES = "dispatches.log"
AT_ONCE = 40
PAUSE_SECONDS = 0.1
"""After a call that failed."""
AWAITED_SHARE = 0.2


@dataclass
class Entry:
    """A dispatched task."""

    n: int
    kind: Kind
    message: str = ""
    """The id that the store answered with, in hexadecimal."""
    created: bool = True
    key: str = ""
    tries: int = 0
    """Calls of `dispatch` until one succeeded."""
    cancelled: CancelOutcome | None = None


@dataclass
class Workload:
    """The tasks as the dispatcher knows them at the end."""

    entries: list[Entry] = field(default_factory=list[Entry])
    """Accepted tasks."""
    answers: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])


class Dispatcher:
    """Sends the tasks of a storm, each until the store accepts it."""

    def __init__(
        self, app: App, folder: Path, chance: random.Random, *, follows: bool = True
    ) -> None:
        """Prepare to send tasks. `follows` is False if results cannot be awaited."""
        self._app = app
        self._follows = follows
        self._chance = chance
        self._pen = Pen(folder / DISPATCHES)
        self._following: set[asyncio.Task[None]] = set()
        self.workload = Workload()

    @property
    def accepted(self) -> int:
        """Tasks that the store has accepted."""
        return len(self.workload.entries)

    @property
    def awaiting(self) -> int:
        """Results and cancellations that have not arrived."""
        return len(self._following)

    async def send(self, kinds: Sequence[Kind], seconds: float, *, first: int = 0) -> None:
        """Send tasks, spread over so many seconds, with numbers from `first` on."""
        room = asyncio.Semaphore(AT_ONCE)
        started_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for place, kind in enumerate(kinds):
                due_at = started_at + seconds * place / len(kinds)
                if (left := due_at - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                await room.acquire()
                sending = group.create_task(self._send_one(first + place, kind))
                sending.add_done_callback(lambda _: room.release())

    async def finish(self, seconds: float) -> None:
        """Wait for the results that are still awaited."""
        if self._following:
            await asyncio.wait(self._following, timeout=seconds)
        self._pen.close()
        for each in self._following:
            self.workload.problems.append(f"{each.get_name()} did not end")
            each.cancel()

    async def _send_one(self, n: int, kind: Kind) -> None:
        options = dict(kind.options(self._chance))
        unique = options.get("unique")
        call = kind.make(n).on_queue(self._chance.choice(QUEUES)).options(**options)
        entry = Entry(n, kind, key=unique.key if isinstance(unique, Unique) else "")

        async def dispatch() -> Handle[Any]:
            entry.tries += 1
            return await self._app.dispatch(call)

        handle = await self._until_done(dispatch, "dispatch")
        entry.message = id_from_text(handle).hex()
        entry.created = handle.created
        self.workload.entries.append(entry)
        self._pen.write(f"{n} {kind.name} {entry.message} {entry.created} {entry.tries}\n")
        following = self._follow(entry, handle)
        if following is not None:
            task = asyncio.create_task(following, name=f"waiting for {kind.name} {n}")
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _until_done(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Repeat a call until the store does it: dispatchers of an application would."""
        while True:
            try:
                return await call()
            except DriverUnavailable:
                self.workload.answers[f"{what}: unavailable"] += 1
            except DriverError:
                self.workload.answers[f"{what}: refused"] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _follow(self, entry: Entry, handle: Handle[Any]) -> Any:
        if not self._follows:
            return None
        if entry.kind.name == "sleeper":
            return self._cancel(entry, handle)
        if (
            entry.created
            and entry.kind.name != "hopeless"
            and entry.n % round(1 / AWAITED_SHARE) == 0
        ):
            return self._await_result(entry, handle)
        return None

    async def _cancel(self, entry: Entry, handle: Handle[Any]) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 3.0))
        entry.cancelled = await self._until_done(handle.cancel, "cancel")
        self.workload.answers[f"cancel: {entry.cancelled.value}"] += 1
        await self._await_result(entry, handle)

    async def _await_result(self, entry: Entry, handle: Handle[Any]) -> None:
        """Await a result; what it says must agree with the ledger later."""
        try:
            value = await self._until_done(handle.result, "result")
        except TaskCancelled:
            self.workload.answers[f"result: {entry.kind.name} cancelled"] += 1
        except TaskFailed as error:
            self.workload.answers[f"result: {entry.kind.name} dead ({error.reason})"] += 1
        except ResultError as error:
            text = f"{type(error).__name__}: {error}"
            self.workload.problems.append(f"result of {entry.kind.name} {entry.n}: {text}")
        else:
            self.workload.answers["result: value"] += 1
            if value != entry.n * 2:
                self.workload.problems.append(f"{entry.kind.name} {entry.n} returned {value!r}")
