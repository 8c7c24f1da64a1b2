"""An app on a store whose line can be broken."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from tests.worker.faulty_driver import FaultyDriver, Line


@pytest_asyncio.fixture
async def line() -> Line:
    return Line()


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def app(request: pytest.FixtureRequest, tmp_path: Path, line: Line) -> AsyncIterator[App]:
    """Yield an app whose connection to the store can be broken. No worker runs."""
    inner: Any = (
        MemoryDriver()
        if request.param == "memory"
        else SqliteDriver(path=tmp_path / "queue.db", synchronous="off")
    )
    async with App({"driver": FaultyDriver(inner, line)}) as app:
        yield app
