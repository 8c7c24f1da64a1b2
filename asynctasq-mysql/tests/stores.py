"""MariaDB as a store on which the tests of all distributions run: see `tests/stores.py`."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import pymysql
import pytest

from asynctasq_mysql import MySQLDriver
from tests.servers.databases import mysql_connection
from tests.servers.mariadb import MariadbServer, mariadb_process
from tests.servers.shared import shared_url
from tests.stores import ServerStore, Store, StoreKind

DATABASE = f"asynctasq_tests_{os.environ.get('PYTEST_XDIST_WORKER', '')}"
"""One for each process of a test run: locks of neighbors make a reserve skip rows."""


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements on the server of a URL; return the rows of the last."""
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@cache
def migrated(url: str, database: str = DATABASE) -> str:
    """Return the URL of a database with tables, which is made if there is none."""
    execute(url, f"CREATE DATABASE IF NOT EXISTS {database}")
    made = url.rpartition("/")[0] + f"/{database}"
    asyncio.run(_migrate(made))
    return made


async def _migrate(url: str) -> None:
    await MySQLDriver(url).migrate()


@contextmanager
def _namespace(_: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server."""
    url, namespace = migrated(shared_url("mysql", factory)), f"test-{uuid4().hex}"
    yield Store(
        f"{url}?namespace={namespace}",
        lambda: MySQLDriver(url, namespace=namespace),
        MySQLDriver.capabilities,
    )


class MariadbStore(ServerStore):
    """A server that keeps every accepted message."""

    def __init__(self, server: MariadbServer) -> None:
        self._server = server
        self.url = migrated(server.url, "queue")

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def crash(self) -> None:
        self._server.stop(signal.SIGKILL)

    def disconnect_clients(self) -> None:
        rows = execute(
            self._server.url,
            "SELECT id FROM information_schema.processlist WHERE user = 'tester' AND id <> CONNECTION_ID()",
        )
        for (number,) in rows:
            try:
                execute(self._server.url, f"KILL CONNECTION {number}")
            except pymysql.OperationalError as error:
                if error.args[0] != NO_SUCH_THREAD:
                    raise


NO_SUCH_THREAD = 1094


@contextmanager
def _server(_: Path) -> Iterator[ServerStore]:
    with mariadb_process("--innodb-flush-log-at-trx-commit=1") as server:
        yield MariadbStore(server)


KIND = StoreKind("mysql", _namespace, server=_server)
