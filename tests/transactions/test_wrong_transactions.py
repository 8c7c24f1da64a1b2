"""Objects that are not transactions, and transactions of a database without the tables."""

import asyncio
import importlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

import asynctasq
from asynctasq import App, task
from asynctasq.app import stores_of
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverError, TransactionError
from tests import django_setup as django_setup  # makes the settings
from tests.stores import Store
from tests.transactions.clients import Client, executing
from tests.transactions.conftest import CLIENTS, in_full

pytestmark = pytest.mark.sampled(2)


@task(name="wrong_transactions.bill")
async def bill(number: int) -> int:
    return number


def some_engine() -> Any:
    return create_engine("sqlite://", poolclass=NullPool)


def an_async_engine() -> Any:
    return create_async_engine("sqlite+aiosqlite://", poolclass=NullPool)


def without_init(path: str) -> Any:
    """Return an instance of a class, such as a pool, that is not connected to anything."""
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    return cls.__new__(cls)


WRONG: dict[str, Callable[[], Any]] = {
    "engine": some_engine,
    "async engine": an_async_engine,
    "session maker": lambda: sessionmaker(some_engine()),
    "async session maker": lambda: async_sessionmaker(an_async_engine()),
    "session class": lambda: Session,
    "transaction of a session": lambda: Session(some_engine()).begin(),
    "sqlite3 cursor": lambda: without_init("sqlite3.Cursor"),
    "aiosqlite cursor": lambda: without_init("aiosqlite.Cursor"),
    "asyncpg pool": lambda: without_init("asyncpg.Pool"),
    "asyncpg transaction": lambda: without_init("asyncpg.transaction.Transaction"),
    "psycopg cursor": lambda: without_init("psycopg.Cursor"),
    "async psycopg cursor": lambda: without_init("psycopg.AsyncCursor"),
    "psycopg transaction": lambda: without_init("psycopg.Transaction"),
    "aiomysql pool": lambda: without_init("aiomysql.Pool"),
    "aiomysql cursor": lambda: without_init("aiomysql.Cursor"),
    "asyncmy pool": lambda: without_init("asyncmy.pool.Pool"),
    "pymysql cursor": lambda: without_init("pymysql.cursors.Cursor"),
    "alias without a database": lambda: "no_such_database",
    "URL": lambda: "postgresql://user:secret@localhost/shop",
    "false": lambda: False,
    "number": lambda: 7,
}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Yield the default app, with its queue in a file."""
    monkeypatch.setattr("asynctasq.runtime.default", None)
    found = asynctasq.init({"driver": f"sqlite:///{tmp_path}/queue.db"})
    yield found
    found.close_sync()


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_object_is_named_in_the_error(app: App, kind: str) -> None:
    given = WRONG[kind]()
    with pytest.raises(TransactionError, match=r"^transaction must be ") as raised:
        bill(1).dispatch_sync(transaction=given)
    assert "secret" not in str(raised.value)
    with (
        asynctasq.transaction(given),
        pytest.raises(TransactionError, match=r"^transaction must be "),
    ):
        bill(1).dispatch_sync()


def test_block_without_a_transaction_is_refused(app: App) -> None:
    with pytest.raises(TransactionError, match="got None"):
        asynctasq.transaction(None)


def test_autocommit_mode_is_named_in_the_error(app: App, tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/queue.db", poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with (
        engine.begin() as connection,
        pytest.raises(TransactionError, match=r"but it is in autocommit mode"),
    ):
        bill(1).dispatch_sync(transaction=connection)


@pytest.mark.parametrize("client_name", ["postgres: asyncpg"])
async def test_connection_of_a_pool_is_accepted(server_queue: Store) -> None:
    settings = {"driver": server_queue.url}
    async with (
        App(settings) as app,
        asyncpg.create_pool(server_queue.url.partition("?")[0], min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        assert (await app.dispatch(bill(7), transaction=connection)).created
    app.close_sync()


def in_file(path: Path) -> None:
    """Create a file with a table of an application."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (number INTEGER)")
        connection.commit()


def test_file_without_a_queue_is_noted(app: App, tmp_path: Path) -> None:
    in_file(tmp_path / "queue.db")
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="no such table") as raised:
            bill(1).dispatch_sync(transaction=connection)
        connection.execute("ROLLBACK")
    assert "asynctasq migrate" in raised.value.__notes__[0]


@pytest.mark.parametrize("client_name", [name for name in CLIENTS if name.startswith("sqlite")])
async def test_outbox_without_tables_names_the_command(client_name: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    await asyncio.to_thread(in_file, path)
    client = CLIENTS[client_name][1](str(path))
    settings = {"driver": MemoryDriver(), "outbox": f"sqlite:///{path}"}
    async with App(settings) as app, client.transaction() as transaction:
        await client.insert(transaction, 7)
        with pytest.raises(DriverError, match=r"has no tables\. Run `asynctasq migrate`"):
            await app.dispatch(bill(7), transaction=transaction)
    app.close_sync()


@pytest_asyncio.fixture
async def elsewhere(client_name: str, server_queue: Store) -> AsyncIterator[Client]:
    """Yield a client of a database without tables, on the server of the queue."""
    url, name = server_queue.url.partition("?")[0], f"elsewhere_{uuid4().hex}"
    with executing(url) as execute:
        execute(f"CREATE DATABASE {name}")
        try:
            yield CLIENTS[client_name][1](f"{url.rpartition('/')[0]}/{name}")
        finally:
            execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    "client_name",
    [
        *("postgres: asyncpg", "postgres: psycopg", "postgres: async session", "mysql: asyncmy"),
        *("mysql: session", "postgres: django", "postgres: tortoise"),
        *map(in_full, ("postgres: session", "mysql: pymysql", "mysql: django", "mysql: tortoise")),
    ],
)
@pytest.mark.parametrize("setting", ["driver", "outbox"])
async def test_database_without_tables_is_noted(
    setting: str, elsewhere: Client, server_queue: Store
) -> None:
    settings = {"driver": MemoryDriver(), setting: server_queue.url}
    async with App(settings) as app:
        if setting == "outbox":
            outbox = stores_of(app).outbox
            assert outbox is not None
            opened = outbox.new()
            await opened.open()
            await opened.migrate()
            await opened.close()
        with pytest.raises(Exception, match=r"(?i)asynctasq") as raised:
            async with elsewhere.transaction() as transaction:
                await app.dispatch(bill(7), transaction=transaction)
    app.close_sync()
    notes = [note for each in chain_of(raised.value) for note in getattr(each, "__notes__", ())]
    assert any("lacks tables of asynctasq" in note for note in notes)


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error with its causes."""
    return [error, *(chain_of(error.__cause__) if error.__cause__ is not None else ())]
