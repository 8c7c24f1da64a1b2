"""Databases on servers that all tests share, and a worker on a store in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, Worker
from tests.conftest import loopback_only as loopback_only
from tests.conftest import no_children_in_advance as no_children_in_advance
from tests.conftest import no_task_left_behind as no_task_left_behind
from tests.conftest import nothing_left_behind as nothing_left_behind
from tests.conftest import own_folder_and_settings as own_folder_and_settings
from tests.servers.databases import own_database
from tests.servers.shared import shared_url

RunTask = Callable[[Any], Awaitable[Any]]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL (`postgresql:`) of a database that the tests of this process share."""
    with own_database(shared_url("postgres", tmp_path_factory)) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL (`mysql:`) of a database that the tests of this process share."""
    with own_database(shared_url("mysql", tmp_path_factory)) as url:
        yield url


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    """Yield an app on a memory store, current in the test."""
    made = App({"driver": "memory"})
    async with made:
        yield made
    made.close_sync()


@pytest_asyncio.fixture
async def run_task(app: App) -> RunTask:
    """Dispatches a task, lets a worker run it, and gives its result or raises `TaskFailed`."""

    async def run(task: Any) -> Any:
        handle = await app.dispatch(task.options(max_attempts=1, result_ttl=60))
        await Worker(app=app, burst=True, handle_signals=False).start()
        return await handle.result(timeout=30)

    return run
