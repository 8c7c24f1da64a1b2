"""PostgreSQL servers on free ports of the loopback: the one that tests share, or one for a test alone."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
"""Options of a server whose data need not survive a crash."""
MAY_WRITE = "-c default_transaction_read_only=off"
PLACE = ("listen_addresses=127.0.0.1", "unix_socket_directories=")


class PostgresServer:
    """A server with a superuser `tester`, by default with fsync, as in production."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        primary: "PostgresServer | None" = None,
    ) -> None:
        """Create the data of a server.

        Args:
            folder: one that the server's user can reach, see `private_folder`.
            options: settings such as `fsync=off`.
            environment: of the server's process.
            primary: a running server of which this one becomes a replica.
        """
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        data = str(folder / "data")
        given = [part for option in (*PLACE, *options) for part in ("-c", option)]
        command = [binary("postgres"), "-D", data, "-p", str(self.port), *given]
        self.process = ServerProcess(command, folder, user=unprivileged(), environment=environment)
        if primary:
            source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "tester")
            self.process.run(binary("pg_basebackup"), *source, "-D", data, "-R", "-c", "fast")
        else:
            files = ("-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8")
            self.process.run(binary("initdb"), *files, "--no-instructions")

    def start(self) -> None:
        """Start it on its data, and return when it accepts connections."""
        self.process.start(self._is_up)

    def restart(self, number: int = signal.SIGINT) -> None:
        """Stop it with a signal, and start it again: SIGINT ends sessions, SIGQUIT is a crash."""
        self.process.stop(number)
        self.start()

    def stop(self) -> None:
        """End all sessions, roll back their transactions, and stop."""
        self.process.stop(signal.SIGINT)

    def crash(self) -> None:
        """Stop without writing anything more, as `pg_ctl stop -m immediate` does."""
        self.process.stop(signal.SIGQUIT)

    def has_replayed(self, primary: "PostgresServer") -> bool:
        """Return whether this replica has all that the primary has acknowledged."""
        [(written,)] = primary.execute("SELECT pg_current_wal_flush_lsn()::text")
        [(is_there,)] = self.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written)
        return bool(is_there)

    def promote(self) -> None:
        """Let this replica accept writes; return when it does."""
        self.execute("SELECT pg_promote()")

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """Return a connection of the superuser in autocommit, which may write at any time.

        The caller closes it.
        """
        url = f"{self.url.removesuffix('/postgres')}/{database}"
        return psycopg.connect(url, autocommit=True, connect_timeout=10, options=MAY_WRITE)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, and return its rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def disconnect_clients(self) -> int:
        """End all sessions but this one, and return how many there were."""
        ended = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return len(ended)

    def _is_up(self) -> bool:
        asked = [binary("pg_isready"), "-q", "-d", self.url]
        return not subprocess.run(asked, check=False, timeout=30).returncode


@contextmanager
def running_postgres(
    *options: str,
    environment: Mapping[str, str] | None = None,
    primary: PostgresServer | None = None,
) -> Iterator[PostgresServer]:
    """Yield a server, or a replica, that one test has for itself, and stop it at the end."""
    with private_folder("postgres", unprivileged()) as folder:
        server = PostgresServer(folder, *options, environment=environment, primary=primary)
        server.start()
        try:
            yield server
        finally:
            server.process.resume()
            server.stop()


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of the server that tests share, whose user may do everything."""
    with running_postgres(*QUICK) as server:
        yield server.url


def binary(name: str) -> str:
    """Return the path of a program of PostgreSQL. Debian keeps most of them off the path."""
    if not _installed(name):
        program("psql", package="postgresql")
    return _installed(name) or program(name, package="postgresql")


def _installed(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None
