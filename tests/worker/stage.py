"""Shared by tests of workers: an app on a real store, workers in this process, and notes of tasks."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from weakref import ref

from asynctasq import App, Worker, current_task
from asynctasq.app import runtime_of
from asynctasq.contracts.capabilities import (
    DeadLetter,
    Snapshot,
    SupportsDeadLetters,
    SupportsInspect,
)
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.messages import MessageFactory
from asynctasq.message import Message, State, id_from_text, new_id
from asynctasq.retry import RunPolicy
from asynctasq.tasks.base import BaseTask
from asynctasq.worker.engine import Inspection

PATIENCE = 60.0
"""Seconds after which a test that waits for an event has failed."""


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait for a condition without an event: the state of a store, or of the parts of a worker."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.01)


class Flag:
    """An event for the test's loop and for the threads of its tasks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._here = asyncio.Event()
        self._there = threading.Event()

    def set(self) -> None:
        self._there.set()
        self._loop.call_soon_threadsafe(self._here.set)

    @property
    def is_set(self) -> bool:
        return self._there.is_set()

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._here.wait()

    def wait_in_thread(self) -> None:
        assert self._there.wait(PATIENCE)


class Probe:
    """The resources of the tests' workers: what tasks did, and what they wait for."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.slots = 0
        """Number of tasks that should run at once."""
        self._flags: dict[str, Flag] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self.loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def flag(self, name: str) -> Flag:
        if name not in self._flags:
            self._flags[name] = Flag(self.loop)
        return self._flags[name]

    def note(self, *entry: Any) -> None:
        """From any thread."""
        self.log.append(entry[0] if len(entry) == 1 else entry)
        self.loop.call_soon_threadsafe(self._changed.set)

    async def noted(self, count: int) -> None:
        """Wait for so many entries."""
        async with asyncio.timeout(PATIENCE):
            while len(self.log) < count:
                self._changed.clear()
                await self._changed.wait()


def probe() -> Probe:
    """Return the probe of the running task."""
    found = current_task().resources
    assert isinstance(found, Probe)
    return found


class Stage:
    """An app on one store, entered."""

    def __init__(self, driver: Driver | str, settings: dict[str, object]) -> None:
        self.template = driver
        self.probe = Probe()
        self.app = App(
            {"driver": driver, "grace_period": PATIENCE, **settings}, lifespan=self._lend
        )

    @asynccontextmanager
    async def _lend(self, _: App) -> AsyncIterator[Probe]:
        yield self.probe

    def flag(self, name: str) -> Flag:
        return self.probe.flag(name)

    @property
    def log(self) -> list[Any]:
        return self.probe.log

    async def driver(self) -> Any:
        """Return the app's own opened driver, typed as having every capability."""
        return await self.app.driver()

    def make_worker(self, *, handle_signals: bool = False, **options: Any) -> Worker:
        return Worker(app=self.app, handle_signals=handle_signals, **options)

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker, and stop it at the end."""
        worker = self.make_worker(**options)
        async with self.running(worker):
            yield worker

    @asynccontextmanager
    async def running(self, worker: Worker) -> AsyncIterator[None]:
        """Run a worker that is made already, and stop it at the end."""
        working = asyncio.create_task(worker.start())
        try:
            yield
        finally:
            worker.stop()
            async with asyncio.timeout(2 * PATIENCE):
                await working

    async def burst(self, **options: Any) -> None:
        """Run what is ready, in a worker that ends by itself."""
        async with asyncio.timeout(PATIENCE):
            await self.make_worker(burst=True, **options).start()

    @staticmethod
    def inspect(worker: Worker) -> Inspection:
        """Return the inner state of a worker that runs."""
        found = worker.inspect()
        assert found is not None, "it has opened the store"
        return found

    async def snapshot(self, task_id: str) -> Snapshot | None:
        driver = await self.driver()
        assert isinstance(driver, SupportsInspect)
        [found] = await driver.find([id_from_text(task_id)])
        return found

    async def state(self, task_id: str) -> State:
        return await self.app.handle(task_id).status()

    async def dead(self) -> list[DeadLetter]:
        driver = await self.driver()
        assert isinstance(driver, SupportsDeadLetters)
        return list((await driver.dead_letters()).items)

    async def until(self, task_id: str, state: State) -> None:
        """Wait until a message is in that state."""

        async def reached() -> bool:
            return await self.state(task_id) is state

        await eventually(reached)

    def message(
        self, task: str | BaseTask[Any], *args: object, body: bytes | None = None
    ) -> Message:
        """Return a message as a dispatch makes it, or one for the name of a task with arguments."""
        codec, defaults = runtime_of(self.app).codec, runtime_of(self.app).defaults
        if isinstance(task, str):
            encoded = codec.encode_call(args, {}, RunPolicy(), task=task)
            return Message(new_id(), "default", task, encoded if body is None else body)
        made = MessageFactory(codec, defaults, sender=ref(self.app)).make(task)
        return made if body is None else replace(made, body=body)
