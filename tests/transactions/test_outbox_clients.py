"""Dispatches to another store in a transaction of the application, with each client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from asynctasq import App, Worker, task
from asynctasq.app import stores_of
from asynctasq.contracts.capabilities.outbox import Outbox
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import TransactionError
from asynctasq.records import record
from tests.stores import Store
from tests.transactions.clients import Client, RollBack, make_orders_in_file, orders_on_server
from tests.transactions.conftest import CLIENTS


@task(name="outbox_clients.ship")
async def ship(number: int) -> int:
    return number


@record
class Shop:
    """An application with orders in one database, and its queue in another store."""

    app: App
    client: Client
    outbox: Outbox


@pytest_asyncio.fixture
async def shop(client_name: str, server_queue: Store | None, tmp_path: Path) -> AsyncIterator[Shop]:
    """Yield an application with an empty outbox. No worker runs."""
    make = CLIENTS[client_name][1]
    path = tmp_path / "shop.db"
    url = f"sqlite:///{path}" if server_queue is None else server_queue.url
    async with App({"driver": MemoryDriver(), "outbox": url}) as app:
        found = stores_of(app).outbox
        assert found is not None
        outbox = found.new()
        if server_queue is None:
            await make_orders_in_file(path)
        await outbox.open()
        await outbox.migrate()
        if server_queue is None:
            yield Shop(app, make(str(path)), outbox)
        else:
            client = make(server_queue.url.partition("?")[0])
            with orders_on_server(client):
                yield Shop(app, client, outbox)
        await outbox.close()
    app.close_sync()


@asynccontextmanager
async def working(app: App) -> AsyncIterator[None]:
    """Run a worker, and stop it at the end."""
    worker = Worker(app=app, handle_signals=False)
    running = asyncio.create_task(worker.start())
    try:
        yield
    finally:
        worker.stop()
        await running


@pytest.mark.every_client
async def test_committed_task_is_forwarded(shop: Shop) -> None:
    async with shop.client.transaction() as transaction:
        await shop.client.insert(transaction, 7)
        handle = await shop.app.dispatch(ship(7), transaction=transaction)
        more = await shop.app.dispatch_many([ship(8), ship(9)], transaction=transaction)
    assert (await shop.outbox.state()).waiting == 3
    async with working(shop.app):
        assert [await each.result(timeout=30) for each in (handle, *more)] == [7, 8, 9]


async def test_rolled_back_task_leaves_no_row(shop: Shop) -> None:
    async def sell() -> None:
        async with shop.client.transaction() as transaction:
            await shop.client.insert(transaction, 7)
            await shop.app.dispatch(ship(7), transaction=transaction)
            raise RollBack

    with pytest.raises(RollBack):
        await sell()
    assert (await shop.outbox.state()).waiting == 0


async def test_known_id_changes_nothing(shop: Shop) -> None:
    chosen: Any = ship(1).options(id="01890a5d-ac96-774b-bcce-b302099a8057")
    async with shop.client.transaction() as transaction:
        first = await shop.app.dispatch(chosen, transaction=transaction)
        second = await shop.app.dispatch(chosen, transaction=transaction)
    assert (first, first.created, second.created) == (second, True, False)
    assert (await shop.outbox.state()).waiting == 1


async def test_transaction_of_another_kind_of_database_is_refused(shop: Shop) -> None:
    elsewhere = "mysql" if shop.outbox.dialect == "postgresql" else "postgresql"
    other = App({"driver": MemoryDriver(), "outbox": f"{elsewhere}://localhost/elsewhere"})
    async with shop.client.transaction() as transaction:
        with pytest.raises(TransactionError, match="must be of the driver's database"):
            await other.dispatch(ship(7), transaction=transaction)
    other.close_sync()
