"""A MariaDB (or MySQL) server of our own, on a free port of the loopback."""

import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

ACCOUNT = """\
CREATE USER tester@'127.0.0.1';
GRANT ALL ON *.* TO tester@'127.0.0.1' WITH GRANT OPTION;
"""
QUICK = (
    "--skip-networking=0",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=off",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=8M",
    "--character-set-server=utf8mb4",
)


class MariadbServer:
    """A server, which a test may stop and start again with its data."""

    def __init__(self, folder: Path, *options: str) -> None:
        user = unprivileged()
        if user:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, user)
        self._port = free_port()
        account = folder / "account.sql"
        account.write_text(ACCOUNT)
        files = ("--no-defaults", f"--datadir={folder / 'data'}")
        self._start = (
            program("mariadbd", package="mariadb-server"),
            *files,
            "--bind-address=127.0.0.1",
            f"--port={self._port}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--tmpdir={folder}",  # a server that starts deletes the files of others in a shared one
            *QUICK,
            *options,
        )
        self._first = f"--init-file={account}"
        self._process = ServerProcess([*self._start, self._first], folder, user=user)
        install = program("mariadb-install-db", package="mariadb-server")
        self._process.run(
            install, *files, "--auth-root-authentication-method=normal", "--skip-test-db"
        )
        self.url = f"mysql://tester@127.0.0.1:{self._port}/mysql"
        self.socket = folder / "socket"

    def start(self) -> None:
        """Start it; return when it answers."""
        self._process.start(lambda: greets(self._port))
        self._process.command = list(self._start)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it. Does nothing if it does not run."""
        self._process.stop(number)

    def send(self, number: int) -> None:
        """Send it a signal (SIGSTOP, say)."""
        self._process.send(number)


@contextmanager
def mariadb_process(*options: str) -> Iterator[MariadbServer]:
    """Yield a server, whose user may do everything, and stop it at the end.

    Its files are in a private folder, because pytest's own cannot be reached by other users.
    """
    with private_folder("mariadb", unprivileged()) as private:
        server = MariadbServer(private, *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def mariadb_server() -> Iterator[str]:
    """Yield the URL of a server, whose user may do everything, and stop it at the end."""
    with mariadb_process() as server:
        yield server.url


def greets(port: int) -> bool:
    """Return whether a server sends its greeting, which it does once its accounts exist."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
