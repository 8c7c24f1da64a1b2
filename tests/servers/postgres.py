"""A PostgreSQL server of our own, on a free port of the loopback."""

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


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server, whose user may do everything, and stop it at the end."""
    user = unprivileged()
    with private_folder("postgres", user) as folder:
        port = free_port()
        data = str(folder / "data")
        options = [part for option in QUICK for part in ("-c", option)]
        command = [binary("postgres"), "-D", data, "-p", str(port), *options]
        process = ServerProcess(command, folder, user=user)
        files = ("-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8")
        process.run(binary("initdb"), *files, "--no-instructions")

        def is_up() -> bool:
            asked = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            return not subprocess.run(asked, check=False, timeout=30).returncode

        process.start(is_up)
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            process.stop()


def binary(name: str) -> str:
    """Return the path of a program of PostgreSQL. Debian keeps most of them off the path."""
    if not _installed(name):
        program("psql", package="postgresql")
    return _installed(name) or program(name, package="postgresql")


def _installed(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None
