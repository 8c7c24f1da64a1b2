"""One database for each process of a test run, on a server that all of them share."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import asyncpg
import pymysql
from pymysql.cursors import Cursor


@contextmanager
def own_database(url: str) -> Iterator[str]:
    """Yield the URL of a new database on the server of `url`, and drop it at the end."""
    parts = urlsplit(url)
    execute = STATEMENTS[parts.scheme]
    name = f"test_{uuid4().hex}"
    execute(parts, f"CREATE DATABASE {name}")
    try:
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        execute(parts, f"DROP DATABASE {name}")


def _in_postgres(parts: SplitResult, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(parts.geturl())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(execute())


@contextmanager
def mysql_connection(url: str) -> "Iterator[pymysql.Connection[Cursor]]":
    """Yield a connection to the database of a URL."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname or "",
        port=parts.port or 3306,
        user=parts.username or "",
        password=parts.password or "",
        database=parts.path.removeprefix("/"),
        autocommit=True,
    )
    try:
        yield connection
    finally:
        connection.close()


def _in_mysql(parts: SplitResult, statement: str) -> None:
    with mysql_connection(parts.geturl()) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


STATEMENTS: dict[str, Callable[[SplitResult, str], None]] = {
    "postgresql": _in_postgres,
    "mysql": _in_mysql,
}
