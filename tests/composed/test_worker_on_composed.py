"""A worker on a composed driver: results, retries, cancels, dead letters and placed messages."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from asynctasq import App, current_task, task
from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import CapabilityMissing, TaskFailed
from asynctasq.message import State
from asynctasq.operations import RetryOutcome
from asynctasq.worker.worker import Worker
from tests.composed.queue_driver import QueueDriver


@asynccontextmanager
async def working(app: App) -> AsyncIterator[ComposedDriver]:
    worker = Worker(app=app, handle_signals=False)
    running = asyncio.create_task(worker.start())
    try:
        driver = await app.driver()
        assert isinstance(driver, ComposedDriver)
        yield driver
    finally:
        worker.stop()
        await running


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App({"driver": QueueDriver(), "state": MemoryDriver()}) as app:
        yield app


async def test_results_of_messages_in_both_stores(app: App) -> None:
    @task
    async def double(number: int) -> int:
        return number * 2

    async with working(app):
        plain = await double(1).dispatch()
        placed = await double(2).options(unique="key").dispatch()
        assert await plain.result(timeout=20) == 2
        assert await placed.result(timeout=20) == 4


async def test_a_failed_task_is_retried_and_becomes_a_dead_letter(app: App) -> None:
    seen: list[int] = []

    @task(max_attempts=2, retry_delay=0)
    async def fail() -> None:
        seen.append(current_task().attempt)
        raise ValueError("no")

    async with working(app):
        handle = await fail().dispatch()
        with pytest.raises(TaskFailed):
            await handle.result(timeout=20)
        assert len(seen) == 2
        [letter] = [each async for each in app.dead_letters.each()]
        assert letter.attempts == 2


async def test_a_running_task_is_interrupted(app: App) -> None:
    started = asyncio.Event()

    @task
    async def sleep() -> None:
        started.set()
        await asyncio.Event().wait()

    async with working(app):
        handle = await sleep().dispatch()
        await started.wait()
        assert await handle.cancel() is CancelOutcome.REQUESTED
        with pytest.raises(Exception, match="cancel"):
            await handle.result(timeout=20)


async def test_a_dead_letter_is_edited_where_it_is(app: App) -> None:
    @task(max_attempts=1)
    async def divide(number: int) -> float:
        return 1 / number

    async with working(app):
        handle = await divide(0).dispatch()
        with pytest.raises(TaskFailed):
            await handle.result(timeout=20)
        edited = await app.dead_letters.retry_edited(handle, queue="others")
        assert edited is RetryOutcome.RETRIED
        again = await app.dead_letters.retry_edited(handle, queue="others")
        assert again is RetryOutcome.NOT_DEAD


async def test_status_is_that_of_the_outcome(app: App) -> None:
    @task
    async def nothing() -> None:
        pass

    handle = await nothing().dispatch()
    with pytest.raises(CapabilityMissing, match="a task that has not ended"):
        await handle.status()
    async with working(app):
        await handle.result(timeout=20)
    assert await handle.status() is State.COMPLETED


async def test_the_outbox_forwards_to_a_composed_driver(tmp_path: Path) -> None:
    @task
    async def double(number: int) -> int:
        return number * 2

    path = tmp_path / "application.db"
    outbox = SqliteDriver(path=path).outbox()
    await outbox.open()
    await outbox.migrate()
    await outbox.close()
    settings = {
        "driver": QueueDriver(),
        "state": MemoryDriver(),
        "outbox": f"sqlite:///{path}",
    }
    async with App(settings) as app, working(app):
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            plain = await double(1).dispatch(transaction=database)
            placed = await double(2).options(unique="key").dispatch(transaction=database)
            database.execute("COMMIT")
        assert await plain.result(timeout=20) == 2
        assert await placed.result(timeout=20) == 4
