"""Messages that are too large for the driver are refused when they are dispatched."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from asynctasq import App, task
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverError

LIMIT = 5000


class SmallDriver(MemoryDriver):
    """A store that takes small messages only."""

    max_message_bytes: int | None = LIMIT


@task
async def send(text: str) -> None:
    pass


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    async with App({"driver": SmallDriver()}) as app:
        yield app


async def test_a_message_above_the_limit_of_the_driver_is_refused(app: App) -> None:
    await app.dispatch(send("x" * 1000))
    large = send("x" * LIMIT)
    with pytest.raises(
        DriverError,
        match=r"send'.*5,000 bytes.*memory of this process.*, got 5,\d\d\d.*key or a path",
    ):
        await app.dispatch(large)
    with pytest.raises(DriverError, match="5,000 bytes"):
        await app.dispatch_many([send("x"), large])
    assert (await app.queues.count("default")).ready == 1


async def test_headers_count(app: App) -> None:
    small = send("x" * (LIMIT - 1000)).options(headers={"trace": "y" * 1000})
    with pytest.raises(DriverError, match="arguments and headers"):
        await app.dispatch(small)
