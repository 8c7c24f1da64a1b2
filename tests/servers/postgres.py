"""A PostgreSQL server of our own, on a free port of the loopback."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port

VARIABLE = "ASYNCTASQ_TEST_POSTGRES_URL"
"""A database to test on, instead of a server that is started."""
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""
QUICK = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
)


class PostgresServer:
    """A server whose folder lives as long as it does."""

    def __init__(self) -> None:
        # Not pytest's folder: another user cannot look into that.
        self._folder = Path(tempfile.mkdtemp(prefix="asynctasq-postgres-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED)
            self._as_user = ["setpriv", f"--reuid={UNPRIVILEGED}", "--clear-groups", "--"]
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        options = [part for option in QUICK for part in ("-c", option)]
        data = self._folder / "data"
        command = [_binary("postgres"), "-D", str(data), "-p", str(self.port)]
        self._process = ServerProcess(
            [*self._as_user, *command, *options, "-c", "unix_socket_directories="], self._folder
        )

    def start(self) -> None:
        """Make its files, and start it."""
        data = str(self._folder / "data")
        command = [_binary("initdb"), "-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run(
            [*self._as_user, *command, "--no-instructions"],
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
        self._process.start(self._is_up)

    def _is_up(self) -> bool:
        command = [_binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return not subprocess.run(command, check=False, timeout=10).returncode

    def stop(self) -> None:
        """End it, and remove its files."""
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _binary(name: str) -> str:
    """Debian keeps most of them off the path."""
    if not _installed(name):
        program("psql", package="postgresql")
    return _installed(name) or program(name, package="postgresql")


def _installed(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None


@contextmanager
def postgres_url() -> Iterator[str]:
    """The address of a database that tests share."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    server = PostgresServer()
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
