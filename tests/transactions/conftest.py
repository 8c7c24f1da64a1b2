"""A queue in a database of the application, and the clients with which the application uses it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from asynctasq import App
from asynctasq.records import record
from tests.transactions.clients import (
    SQLITE,
    Client,
    make_orders_in_file,
    orders_in_file,
)


@record
class Shop:
    """An application with orders, and a queue in the same database."""

    app: App
    client: Client
    orders: Callable[[], Awaitable[Sequence[int]]]
    """Returns the numbers of the orders that were committed."""

    async def waiting(self) -> int:
        """Return the number of tasks in the default queue."""
        counts = await self.app.queues.count("default")
        return (counts.ready or 0) + (counts.scheduled or 0)


@pytest.fixture(params=[f"sqlite: {name}" for name in SQLITE])
def client_name(request: pytest.FixtureRequest) -> str:
    """Yield each database with each client."""
    name: str = request.param
    return name


@pytest_asyncio.fixture
async def shop(client_name: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """Yield an application on a new database. No worker runs."""
    name = client_name.partition(": ")[2]
    path = tmp_path / "shop.db"
    async with App({"driver": "sqlite", "sqlite": {"path": str(path)}}) as app:
        await make_orders_in_file(path)

        async def orders() -> Sequence[int]:
            return orders_in_file(path)

        yield Shop(app, SQLITE[name](str(path)), orders)
    app.close_sync()
