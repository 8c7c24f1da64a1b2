"""A worker with children, on a store of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, Worker
from asynctasq.contracts.capabilities import DeadLetter, SupportsDeadLetters
from asynctasq.executors.process.executor import ProcessExecutor
from asynctasq.tasks.definition import ExecutionMode

PATIENCE = 60.0


class Bench:
    """An app, and a worker that serves it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.worker: Worker

    @property
    def children(self) -> list[int]:
        """Process ids."""
        engine = self.worker._engine
        assert engine is not None
        executor: Any = engine._executors[ExecutionMode.PROCESS]
        assert isinstance(executor, ProcessExecutor)
        return [child.pid for child in executor._pool._children]  # type: ignore[union-attr]  # it runs

    async def result(self, made: Any) -> Any:
        """Dispatch a task and await its result."""
        return await (await made.dispatch()).result(timeout=PATIENCE)

    async def dead(self) -> list[DeadLetter]:
        driver = await self.app.driver()
        assert isinstance(driver, SupportsDeadLetters)
        return list((await driver.dead_letters()).items)

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator["Bench"]:
        """With a worker that is told to stop at the end."""
        self.worker = Worker(app=self.app, handle_signals=False, **options)
        working = asyncio.create_task(self.worker.start())
        try:
            yield self
        finally:
            self.worker.stop()
            async with asyncio.timeout(PATIENCE):
                await working


MakeBench = Callable[..., Awaitable[Bench]]


@pytest_asyncio.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    """Makes apps on a memory driver of their own, or as told, with one child."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> Bench:
            app = App({"driver": "memory", "process_pool_size": 1, "grace_period": 30, **settings})
            await stack.enter_async_context(app)
            stack.callback(app.close_sync)
            return Bench(app)

        yield make


@pytest_asyncio.fixture
async def bench(make_bench: MakeBench) -> AsyncIterator[Bench]:
    """A served app with one child."""
    made = await make_bench()
    async with made.serving():
        yield made


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where tasks write."""
    path = tmp_path / "notes"
    path.touch()
    return path


def lines_of(path: Path) -> list[str]:
    """What tasks have written."""
    return path.read_text().splitlines()


async def noted(path: Path, count: int = 1) -> list[str]:
    """Wait for so many lines."""
    async with asyncio.timeout(PATIENCE):
        while len(lines := lines_of(path)) < count:
            await asyncio.sleep(0.01)
    return lines
