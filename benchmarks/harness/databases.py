"""Database servers with the settings of their packages, which sync each commit to the disk."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
import pymysql

from benchmarks.harness.machine import cpu_seconds
from tests.servers.mariadb import ACCOUNT, greets
from tests.servers.packages import program
from tests.servers.postgres import binary
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged


@dataclass(frozen=True)
class Database(ABC):
    """One database on a server of ours."""

    url: str
    pid: int
    """The first process of the server."""

    def named(self, name: str) -> Self:
        """Return another database of the same server."""
        return type(self)(urlsplit(self.url)._replace(path=f"/{name}").geturl(), self.pid)

    @abstractmethod
    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""

    @abstractmethod
    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    @abstractmethod
    def snapshot(self, table: str) -> AbstractContextManager[None]:
        """Keep a transaction open during the block that reads the table as it is at the start."""

    def server_seconds(self) -> float:
        """Return the processor time of the server so far, in all of its processes."""
        return processor_seconds(self.pid)


class PostgresDatabase(Database):
    """A database of PostgreSQL."""

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    @contextmanager
    def snapshot(self, table: str) -> Iterator[None]:
        """Keep a transaction open during the block that reads the table as it is at the start."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode())
            yield
            connection.rollback()


class MySQLDatabase(Database):
    """A database of MariaDB or MySQL."""

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with self._connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def snapshot(self, table: str) -> Iterator[None]:
        """Keep a transaction open during the block that reads the table as it is at the start."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")
            yield
            cursor.execute("ROLLBACK")

    def _connect(self) -> "pymysql.Connection[Any]":
        parts = urlsplit(self.url)
        return pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            database=parts.path.removeprefix("/"),
            autocommit=True,
        )


@contextmanager
def postgres() -> Iterator[PostgresDatabase]:
    """Start PostgreSQL as its package configures it, and yield its database `postgres`."""
    user = unprivileged()
    with private_folder("bench-postgres", user) as folder:
        port, data = free_port(), folder / "data"
        listen = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        command = [binary("postgres"), "-D", str(data), "-p", str(port), *listen]
        process = ServerProcess(command, folder, user=user)
        accounts = ("-U", "tester", "-A", "trust", "-E", "UTF8", "--no-instructions")
        process.run(binary("initdb"), "-D", str(data), *accounts)

        def is_up() -> bool:
            asked = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            return not subprocess.run(asked, check=False, timeout=30).returncode

        process.start(is_up)
        try:
            pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
            yield PostgresDatabase(f"postgresql://tester@127.0.0.1:{port}/postgres", pid)
        finally:
            process.stop()


@contextmanager
def mariadb() -> Iterator[MySQLDatabase]:
    """Start MariaDB with its built-in settings, and yield its database `mysql`."""
    user = unprivileged()
    server = program("mariadbd", package="mariadb-server")
    install = program("mariadb-install-db", package="mariadb-server")
    with private_folder("bench-mariadb", user) as folder:
        port, account, pid = free_port(), folder / "account.sql", folder / "pid"
        account.write_text(ACCOUNT)
        files = ("--no-defaults", f"--datadir={folder / 'data'}")
        place = ("--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}")
        own = (f"--pid-file={pid}", f"--init-file={account}", "--skip-name-resolve")
        process = ServerProcess([server, *files, *place, *own], folder, user=user)
        process.run(install, *files, "--auth-root-authentication-method=normal", "--skip-test-db")
        process.start(lambda: greets(port))
        try:
            url = f"mysql://tester@127.0.0.1:{port}/mysql"
            yield MySQLDatabase(url, int(pid.read_text()))
        finally:
            process.stop()


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, with that of children that exited."""
    processes = (pid, *_children(pid))
    return sum(cpu_seconds(each, exited_children=True) for each in processes)


def _children(pid: int) -> list[int]:
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listings for child in listing.read_text().split()]
