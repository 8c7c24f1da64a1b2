"""Fixtures of the tests of the outbox: a database of an application, and apps that use it."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq.contracts.capabilities.outbox import Outbox
from asynctasq.drivers.sqlite import SqliteDriver
from tests.stores import Store
from tests.worker.stage import Stage

MakeStage = Callable[..., Awaitable[Stage]]


@pytest_asyncio.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    """Yield the opened outbox in the database of an application, which has a table of its own."""
    path = tmp_path / "application.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY)")
    outbox = SqliteDriver(path=path).outbox()
    await outbox.open()
    await outbox.migrate()
    yield outbox
    await outbox.close()


@pytest.fixture
def database(outbox: Outbox) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the application."""
    with closing(sqlite3.connect(outbox.description, isolation_level=None)) as connection:
        yield connection


@pytest_asyncio.fixture
async def make_stage(outbox: Outbox) -> AsyncIterator[MakeStage]:
    """Return a maker of apps with the outbox, and close the apps at the end."""
    async with AsyncExitStack() as stack:

        async def make(driver: Any, **settings: object) -> Stage:
            stage = Stage(driver, {"outbox": f"sqlite:///{outbox.description}", **settings})
            await stack.enter_async_context(stage.app)
            stack.callback(stage.app.close_sync)
            return stage

        yield make


@pytest_asyncio.fixture
async def stage(make_stage: MakeStage, store: Store) -> Stage:
    """Return an app with the outbox, on a new store."""
    return await make_stage(store.driver())
