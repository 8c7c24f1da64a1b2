"""A queue in a database of the application, and the clients with which the application uses it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App
from asynctasq.records import record
from tests.stores import Store, store_kinds
from tests.transactions.clients import (
    MYSQL,
    POSTGRES,
    SQLITE,
    Client,
    make_orders_in_file,
    orders_in_file,
    orders_on_server,
)

MARKER = "every_client: run the test with the clients that differ most on each database, not on SQLite only"
FULL_MARKER = "in_full: run the test with --full only"
CLIENTS = {
    f"{kind}: {name}": (kind, make)
    for kind, clients in {"sqlite": SQLITE, "postgres": POSTGRES, "mysql": MYSQL}.items()
    for name, make in clients.items()
}
FEW = ("sqlite: sqlite3", "sqlite: async session")
MORE = (
    *(name for name in CLIENTS if name.startswith("sqlite")),
    *("postgres: asyncpg", "postgres: psycopg", "mysql: asyncmy"),
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


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", FULL_MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `--full` runs."""
    if not config.getoption("full"):
        items[:] = [item for item in items if item.get_closest_marker("in_full") is None]


def in_full(client: str) -> Any:
    """Return a client as a parameter that is used with `--full` only."""
    return pytest.param(client, marks=pytest.mark.in_full)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a few clients; with all of them under `--full`."""
    chosen = any(
        "client_name" in mark.args for mark in metafunc.definition.iter_markers("parametrize")
    )
    if "client_name" in metafunc.fixturenames and not chosen:
        is_marked = any(metafunc.definition.iter_markers("every_client"))
        names = tuple(CLIENTS) if metafunc.config.getoption("full") else MORE if is_marked else FEW
        metafunc.parametrize("client_name", names, scope="function")


@pytest.fixture
def server_queue(
    client_name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store | None]:
    """Yield a queue on the server of the client's database; None for SQLite."""
    kind = CLIENTS[client_name][0]
    if kind == "sqlite":
        yield None
        return
    [found] = [each for each in store_kinds() if each.name == kind]
    with found.open(tmp_path, tmp_path_factory) as store:
        yield store


@pytest_asyncio.fixture
async def shop(client_name: str, server_queue: Store | None, tmp_path: Path) -> AsyncIterator[Shop]:
    """Yield an application with an empty queue. No worker runs."""
    make = CLIENTS[client_name][1]
    if server_queue is not None:
        client = make(server_queue.url.partition("?")[0])
        async with App({"driver": server_queue.url}) as app:
            with orders_on_server(client) as found:

                async def on_server() -> Sequence[int]:
                    return found()

                yield Shop(app, client, on_server)
        app.close_sync()
        return
    path = tmp_path / "shop.db"
    async with App({"driver": "sqlite", "sqlite": {"path": str(path)}}) as app:
        await make_orders_in_file(path)

        async def in_file() -> Sequence[int]:
            return orders_in_file(path)

        yield Shop(app, make(str(path)), in_file)
    app.close_sync()
