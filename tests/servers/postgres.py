"""A PostgreSQL server of our own, on a free port of the loopback."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, private_folder, unprivileged

QUICK = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
)


class PostgresServer:
    """A server that can be stopped and started again, with its data."""

    def __init__(self, folder: Path, user: str | None, options: tuple[str, ...]) -> None:
        self.port = free_port()
        self.folder = folder
        self.data = str(folder / "data")
        given = [part for option in (*QUICK, *options) for part in ("-c", option)]
        command = [binary("postgres"), "-D", self.data, "-p", str(self.port), *given]
        self.process = ServerProcess(command, folder, user=user)

    @property
    def url(self) -> str:
        """The URL of a database whose user may do everything."""
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make the files."""
        files = ("-D", self.data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8")
        self.process.run(binary("initdb"), *files, "--no-instructions")

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        self.process.start(self._is_up)

    def restart(self, number: int = signal.SIGINT) -> None:
        """Stop it with a signal, and start it again: SIGINT closes connections, SIGQUIT is a crash."""
        self.process.stop(number)
        self.start()

    def _is_up(self) -> bool:
        asked = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return not subprocess.run(asked, check=False, timeout=30).returncode


@contextmanager
def running_postgres(*options: str) -> Iterator[PostgresServer]:
    """Yield a server with more settings, such as `fsync=on`, and stop it at the end."""
    user = unprivileged()
    with private_folder("postgres", user) as folder:
        server = PostgresServer(folder, user, options)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.process.stop(signal.SIGINT)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server, and stop it at the end."""
    with running_postgres() as server:
        yield server.url


def binary(name: str) -> str:
    """Return the path of a program of PostgreSQL. Debian keeps most of them off the path."""
    if not _installed(name):
        program("psql", package="postgresql")
    return _installed(name) or program(name, package="postgresql")


def _installed(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None
