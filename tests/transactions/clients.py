"""Clients of databases, each with a table `orders`, behind one interface for tests."""

import asyncio
import importlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiosqlite
import asyncmy
import asyncpg
import psycopg
import pymysql
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tortoise.context import TortoiseContext
from tortoise.transactions import in_transaction

from tests import django_setup as django_setup  # makes the settings


class RollBack(Exception):
    """Ends a transaction without a commit."""


class Client(ABC):
    """One client library, connected to the database of a store."""

    is_sync = False
    sees_commit = False
    """True if the client reports commits."""

    def __init__(self, place: str) -> None:
        """Make a client. `place` is a path, or the URL of a database."""
        self.place = place
        self.parts = urlsplit(place)
        self.table = "orders"

    def insert_sql(self, value: str) -> str:
        """Return the statement that adds an order."""
        return f"INSERT INTO {self.table} (number) VALUES ({value})"

    @abstractmethod
    def transaction(self) -> Any:
        """Begin a transaction, and yield it as `dispatch` takes it. `RollBack` rolls it back."""

    @abstractmethod
    async def insert(self, transaction: Any, number: int) -> None:
        """Add an order in a transaction."""

    def idle(self) -> Any:
        """Yield a connection without a transaction."""
        raise NotImplementedError


class SqliteClient(Client):
    is_sync = True

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        connection = sqlite3.connect(self.place, isolation_level=None)
        connection.row_factory = lambda cursor, row: {"first": row[0]}
        try:
            yield connection
        finally:
            connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    async def insert(self, transaction: Any, number: int) -> None:
        transaction.execute(self.insert_sql("?"), (number,))


class AiosqliteClient(Client):
    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        async with aiosqlite.connect(self.place, isolation_level=None) as connection:
            connection.row_factory = sqlite3.Row
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection:
            await connection.execute("BEGIN IMMEDIATE")
            yield connection
            await connection.commit()

    async def insert(self, transaction: Any, number: int) -> None:
        await transaction.execute(self.insert_sql("?"), (number,))


class SessionClient(Client):
    is_sync = True
    sees_commit = True
    drivers: Mapping[str, str] = {
        "": "sqlite:///",
        "postgresql": "postgresql+psycopg",
        "mysql": "mysql+pymysql",
    }

    def url(self) -> str:
        """Return the URL for SQLAlchemy."""
        scheme, found, rest = self.place.partition("://")
        return f"{self.drivers[scheme]}://{rest}" if found else f"{self.drivers['']}{self.place}"

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        engine = create_engine(self.url(), poolclass=NullPool)
        try:
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as session:
            with session.begin():
                yield session

    async def insert(self, transaction: Any, number: int) -> None:
        transaction.execute(text(self.insert_sql(":number")), {"number": number})


class ConnectionClient(SessionClient):
    sees_commit = False

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        engine = create_engine(self.url(), poolclass=NullPool)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


class AsyncSessionClient(SessionClient):
    is_sync = False
    drivers: Mapping[str, str] = {
        "": "sqlite+aiosqlite:///",
        "postgresql": "postgresql+asyncpg",
        "mysql": "mysql+asyncmy",
    }

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        engine = create_async_engine(self.url(), poolclass=NullPool)
        try:
            async with AsyncSession(engine) as session:
                yield session
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as session, session.begin():
            yield session

    async def insert(self, transaction: Any, number: int) -> None:
        await transaction.execute(text(self.insert_sql(":number")), {"number": number})


class PsycopgAsyncSessionClient(AsyncSessionClient):
    drivers: Mapping[str, str] = {"postgresql": "postgresql+psycopg"}


class AsyncConnectionClient(AsyncSessionClient):
    sees_commit = False

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        engine = create_async_engine(self.url(), poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()


class DjangoClient(Client):
    """Async code of Django uses connections in the thread of its sync code."""

    sees_commit = True
    alias = "default"

    def _configure(self) -> None:
        settings = connections[self.alias].settings_dict
        if self.parts.scheme:
            settings |= {
                "NAME": self.parts.path.removeprefix("/"),
                "USER": self.parts.username,
                "PASSWORD": self.parts.password or "",
                "HOST": self.parts.hostname,
                "PORT": str(self.parts.port),
            }
        else:
            settings["NAME"] = self.place

    def _close(self) -> None:
        connections[self.alias].close()

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        await sync_to_async(self._configure)()
        try:
            yield self.alias
        finally:
            await sync_to_async(self._close)()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as alias:
            block: Any = transaction.atomic(using=alias)
            await sync_to_async(block.__enter__)()
            try:
                yield alias
            except BaseException as error:
                await sync_to_async(block.__exit__)(type(error), error, error.__traceback__)
                raise
            await sync_to_async(block.__exit__)(None, None, None)

    async def insert(self, transaction: Any, number: int) -> None:
        def insert() -> None:
            with connections[transaction].cursor() as cursor:
                cursor.execute(self.insert_sql("%s"), [number])

        await sync_to_async(insert)()


class TortoiseClient(Client):
    def url(self) -> str:
        """Return the URL for Tortoise."""
        if not self.parts.scheme:
            return f"sqlite://{self.place}"
        scheme = {"postgresql": "asyncpg"}.get(self.parts.scheme, self.parts.scheme)
        return self.parts._replace(scheme=scheme).geturl()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            context = await stack.enter_async_context(TortoiseContext())
            await context.init(
                db_url=self.url(), modules={"models": ["tests.transactions.tortoise_models"]}
            )
            yield await stack.enter_async_context(in_transaction("default"))

    async def insert(self, transaction: Any, number: int) -> None:
        await transaction.execute_query(self.insert_sql(str(number)))


class DjangoPostgresClient(DjangoClient):
    alias = "postgres"


class DjangoMariadbClient(DjangoClient):
    alias = "mariadb"


class AsyncpgClient(Client):
    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.place)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection, connection.transaction():
            yield connection

    async def insert(self, transaction: Any, number: int) -> None:
        await transaction.execute(self.insert_sql("$1"), number)


class PsycopgClient(Client):
    is_sync = True

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        with psycopg.connect(self.place, autocommit=True) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection:
            with connection.transaction():
                yield connection

    async def insert(self, transaction: Any, number: int) -> None:
        transaction.execute(self.insert_sql("%s"), (number,))


class AsyncPsycopgClient(Client):
    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        connection = await psycopg.AsyncConnection.connect(self.place, autocommit=True)
        async with connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection, connection.transaction():
            yield connection

    async def insert(self, transaction: Any, number: int) -> None:
        await transaction.execute(self.insert_sql("%s"), (number,))


class PymysqlClient(Client):
    is_sync = True

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        connection = pymysql.connect(**self._address(), cursorclass=pymysql.cursors.DictCursor)
        try:
            yield connection
        finally:
            connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection:
            connection.begin()
            yield connection
            connection.commit()

    async def insert(self, transaction: Any, number: int) -> None:
        with transaction.cursor() as cursor:
            cursor.execute(self.insert_sql("%s"), (number,))

    def _address(self) -> dict[str, Any]:
        return mysql_address(self.place)


class AsyncmyClient(Client):
    client: Any = asyncmy

    @asynccontextmanager
    async def idle(self) -> AsyncIterator[Any]:
        address = mysql_address(self.place)
        connection = await self.client.connect(db=address.pop("database"), **address)
        try:
            yield connection
        finally:
            connection.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.idle() as connection:
            await connection.begin()
            yield connection
            await connection.commit()

    async def insert(self, transaction: Any, number: int) -> None:
        async with transaction.cursor() as cursor:
            await cursor.execute(self.insert_sql("%s"), (number,))


class AiomysqlClient(AsyncmyClient):
    client: Any = importlib.import_module("aiomysql")  # it has no types


def mysql_address(url: str) -> dict[str, Any]:
    """Return the arguments of `connect` of each client of MySQL."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password or "",
        "database": parts.path.removeprefix("/"),
        "autocommit": True,
    }


SQLITE: Mapping[str, Callable[[str], Client]] = {
    "sqlite3": SqliteClient,
    "aiosqlite": AiosqliteClient,
    "session": SessionClient,
    "connection": ConnectionClient,
    "async session": AsyncSessionClient,
    "async connection": AsyncConnectionClient,
    "django": DjangoClient,
    "tortoise": TortoiseClient,
}
"""Clients by name."""
POSTGRES: Mapping[str, Callable[[str], Client]] = {
    "asyncpg": AsyncpgClient,
    "psycopg": PsycopgClient,
    "async psycopg": AsyncPsycopgClient,
    "session": SessionClient,
    "async session": AsyncSessionClient,
    "async session of psycopg": PsycopgAsyncSessionClient,
    "django": DjangoPostgresClient,
    "tortoise": TortoiseClient,
}
MYSQL: Mapping[str, Callable[[str], Client]] = {
    "pymysql": PymysqlClient,
    "asyncmy": AsyncmyClient,
    "aiomysql": AiomysqlClient,
    "session": SessionClient,
    "async session": AsyncSessionClient,
    "django": DjangoMariadbClient,
    "tortoise": TortoiseClient,
}


@contextmanager
def orders_on_server(client: Client) -> Iterator[Callable[[], Sequence[int]]]:
    """Create a table of its own for a client; yield a function that returns the numbers in it."""
    client.table = f"orders_{uuid4().hex}"
    with executing(client.place) as execute:
        execute(f"CREATE TABLE {client.table} (number INTEGER NOT NULL)")
        try:
            yield lambda: [number for (number,) in execute(f"SELECT number FROM {client.table}")]
        finally:
            execute(f"DROP TABLE {client.table}")


@contextmanager
def executing(url: str) -> Iterator[Callable[[str], Sequence[Any]]]:
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:

            def in_postgres(text: str) -> Sequence[Any]:
                found = connection.execute(text.encode())
                return found.fetchall() if found.description else ()

            yield in_postgres
        return
    with pymysql.connect(**mysql_address(url)) as mysql, mysql.cursor() as cursor:

        def in_mysql(text: str) -> Sequence[Any]:
            cursor.execute(text)
            rows: Sequence[Any] = cursor.fetchall()
            return rows

        yield in_mysql


def orders_in_file(path: Path) -> Sequence[int]:
    """Return the numbers of all orders."""
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT number FROM orders")]
    finally:
        connection.close()


async def make_orders_in_file(path: Path) -> None:
    """Create the table."""

    def create() -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE orders (number INTEGER NOT NULL)")
        connection.commit()
        connection.close()

    await asyncio.to_thread(create)
