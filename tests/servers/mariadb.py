"""MariaDB servers on free ports of the loopback: the one that tests share, or one for a test alone."""

import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

ACCOUNT = """\
CREATE USER IF NOT EXISTS tester@'127.0.0.1';
GRANT ALL ON *.* TO tester@'127.0.0.1' WITH GRANT OPTION;
"""
PLACE = (
    "--skip-networking=0",
    "--skip-name-resolve",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--extra-max-connections=20",
)
SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M")
QUICK = ("--skip-log-bin", "--performance-schema=off", "--innodb-flush-log-at-trx-commit=0")
"""Options of a server whose data need not survive a crash."""


class MariadbServer:
    """A server with a user `tester` who may do everything, by default with fsync, as in production."""

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Create the data of a server.

        Args:
            folder: one that the server's user can reach, see `private_folder`.
            options: of its command line; later ones replace earlier ones.
            environment: of the server's process.
        """
        server = program("mariadbd", package="mariadb-server")
        install = program("mariadb-install-db", package="mariadb-server")
        self.port, self._extra_port = free_port(), free_port()
        self.url = f"mysql://tester@127.0.0.1:{self.port}/mysql"
        self.socket = folder / "socket"
        account = folder / "account.sql"
        account.write_text(ACCOUNT)
        files = ("--no-defaults", f"--datadir={folder / 'data'}")
        place = (
            f"--port={self.port}",
            f"--extra-port={self._extra_port}",
            f"--socket={self.socket}",
            *PLACE,
        )
        own = (
            f"--pid-file={folder / 'pid'}",
            f"--init-file={account}",
            f"--tmpdir={folder}",  # a server that starts deletes the files of others in a shared one
        )
        self.process = ServerProcess(
            [server, *files, *place, *own, *SMALL, *options],
            folder,
            user=unprivileged(),
            environment=environment,
        )
        self.process.run(
            install, *files, "--auth-root-authentication-method=normal", "--skip-test-db"
        )

    def start(self) -> None:
        """Start it on its data, and return when it accepts connections."""
        self.process.start(lambda: greets(self.port))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End all sessions, roll back their transactions, and stop; or do what another signal means."""
        self.process.stop(number)

    def send(self, number: int) -> None:
        """Send it a signal (SIGSTOP, say)."""
        self.process.send(number)

    def crash(self) -> None:
        """Kill it."""
        self.process.stop(signal.SIGKILL)

    def connect(self, *, counted: bool = False) -> "pymysql.Connection[Any]":
        """Return a connection of `tester` in autocommit; the caller closes it.

        Args:
            counted: True to count it against `max_connections`, as any other. By default, the server accepts it
                even if it is full.
        """
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port if counted else self._extra_port,
            user="tester",
            autocommit=True,
            connect_timeout=10,
            read_timeout=60,
        )

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as `tester`, and return its rows."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def disconnect_clients(self) -> int:
        """End all sessions but this one, and return how many there were."""
        sessions = self.execute(
            "SELECT id FROM information_schema.processlist "
            "WHERE id <> connection_id() AND command <> 'Daemon'"
        )
        ended = 0
        for (session,) in sessions:
            try:
                self.execute("KILL CONNECTION %s", session)
            except pymysql.OperationalError:  # it has ended by itself
                continue
            ended += 1
        return ended


@contextmanager
def mariadb_process(
    *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[MariadbServer]:
    """Yield a server that one test has for itself, and stop it at the end."""
    with private_folder("mariadb", unprivileged()) as folder:
        server = MariadbServer(folder, *options, environment=environment)
        server.start()
        try:
            yield server
        finally:
            server.process.resume()
            server.stop()


@contextmanager
def mariadb_server() -> Iterator[str]:
    """Yield the URL of the server that tests share, whose user may do everything."""
    with mariadb_process(*QUICK) as server:
        yield server.url


def greets(port: int) -> bool:
    """Return whether a server sends its greeting, which it does once its accounts exist."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
