"""Fixtures of the tests of workers, which run on every kind of store that `tests.stores` chooses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.stores import Store
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import Stage

MakeStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
def driver(store: Store) -> Any:
    """Return an unopened driver of a new store."""
    return store.driver()


@pytest_asyncio.fixture
async def make_stage(driver: Any) -> AsyncIterator[MakeStage]:
    """Return a maker of stages on that store, and close the stages at the end."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> Stage:
            stage = Stage(settings.pop("driver", driver), settings)  # type: ignore[arg-type]  # a driver
            await stack.enter_async_context(stage.app)
            stack.callback(stage.app.close_sync)
            return stage

        yield make


@pytest_asyncio.fixture
async def stage(make_stage: MakeStage) -> Stage:
    """Return a stage with default settings."""
    return await make_stage()


@pytest_asyncio.fixture
async def line() -> Line:
    """Return the line that `faulty` breaks."""
    return Line()


@pytest_asyncio.fixture
async def faulty(make_stage: MakeStage, driver: Any, line: Line) -> Stage:
    """Return a stage whose line to the store can be broken. Its leases are short enough to wait for."""
    return await make_stage(driver=FaultyDriver(driver, line), lease=2.0)
