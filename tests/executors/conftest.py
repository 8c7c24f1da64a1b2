"""A worker with children, on its own store.

Starting a child takes longer than most tests, so those of a module share a worker where they can, and the
module has one event loop: `pytest.mark.asyncio(loop_scope="module")`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, Worker, hookimpl
from asynctasq.contracts.capabilities import DeadLetter, SupportsDeadLetters
from asynctasq.hookspecs import ExecutionContext
from asynctasq.runtime import use_here
from tests.executors import tasks

PATIENCE = 60.0


class Watcher:
    """Records the calls of observers; `ServedApp.serving` does not register it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float | None]] = []

    @hookimpl
    def on_release(self, context: ExecutionContext) -> None:
        self.heard.append(("release", context.retry_delay))

    @hookimpl
    def on_retry(self, context: ExecutionContext) -> None:
        self.heard.append(("retry", context.retry_delay))

    @hookimpl
    def on_failure(self, context: ExecutionContext) -> None:
        self.heard.append(("failure", None))

    @hookimpl
    def on_dead(self, context: ExecutionContext) -> None:
        self.heard.append((str(context.reason), None))


class ServedApp:
    """An app, and a worker that serves it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.watcher = Watcher()
        self.worker: Worker

    @property
    def children(self) -> list[int]:
        """Process IDs of the children of this process."""
        return children_of(os.getpid())

    async def result(self, made: Any) -> Any:
        """Dispatch a task and await its result."""
        return await (await made.dispatch()).result(timeout=PATIENCE)

    async def dead(self) -> list[DeadLetter]:
        driver = await self.app.driver()
        assert isinstance(driver, SupportsDeadLetters)
        return list((await driver.dead_letters()).items)

    async def forget(self) -> None:
        """Let a test find nothing of those before it."""
        driver = await self.app.driver()
        assert isinstance(driver, SupportsDeadLetters)
        await driver.delete_dead([each.message.id for each in await self.dead()])
        self.watcher.heard.clear()

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator["ServedApp"]:
        """Run a worker, and stop it at the end."""
        self.worker = Worker(app=self.app, handle_signals=False, **options)
        working = asyncio.create_task(self.worker.start())
        try:
            yield self
        finally:
            self.worker.stop()
            async with asyncio.timeout(PATIENCE):
                await working


Serve = Callable[..., Awaitable[ServedApp]]


@pytest_asyncio.fixture(loop_scope="module")
async def serve() -> AsyncIterator[Serve]:
    """Yield a function that makes apps with one child, by default on their own memory driver."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> ServedApp:
            return await stack.enter_async_context(opened(**settings))

        yield make


@asynccontextmanager
async def opened(**settings: object) -> AsyncIterator[ServedApp]:
    app = App({"driver": "memory", "process_pool_size": 1, "grace_period": 30, **settings})
    async with app:
        try:
            yield ServedApp(app)
        finally:
            app.close_sync()


@pytest_asyncio.fixture(loop_scope="module")
async def served(serve: Serve) -> AsyncIterator[ServedApp]:
    """Yield a served app with one child, for tasks that end it."""
    made = await serve()
    async with made.serving():
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_app() -> AsyncIterator[ServedApp]:
    """Yield a served app with one child, for the whole module."""
    async with opened() as made, made.serving():
        made.app.plugins.register(made.watcher)
        await made.result(tasks.where())  # threads and child are there before a test looks
        await made.result(tasks.echo_in_thread(1))
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def shared(shared_app: ServedApp) -> AsyncIterator[ServedApp]:
    """Yield the shared app, with nothing left of other tests."""
    with use_app(shared_app.app):
        await shared_app.forget()
        yield shared_app


@contextmanager
def use_app(app: App) -> Iterator[None]:
    """Dispatch to that app in the test."""
    token = use_here(app)
    try:
        yield
    finally:
        token.var.reset(token)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return the path of the file that tasks write."""
    path = tmp_path / "notes"
    path.touch()
    return path


def lines_of(path: Path) -> list[str]:
    """Return the lines that tasks have written."""
    return path.read_text().splitlines()


async def noted(path: Path, count: int = 1) -> list[str]:
    """Wait for so many lines."""
    async with asyncio.timeout(PATIENCE):
        while len(lines := lines_of(path)) < count:
            await asyncio.sleep(0.01)
    return lines


def children_of(pid: int) -> list[int]:
    """Return the process IDs of the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
