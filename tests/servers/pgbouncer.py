"""PgBouncer in transaction mode, on a free port of the loopback, in front of a PostgreSQL server."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.packages import program
from tests.servers.processes import ServerProcess, free_port, is_free, private_folder, unprivileged

SETTINGS = """\
[databases]
* = host={host} port={target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
max_client_conn = 200
default_pool_size = {sessions}
server_login_retry = 0.2
"""


class PgBouncer:
    """A pooler that accepts the users of a server, and keeps few sessions there."""

    def __init__(self, folder: Path, url: str, *, sessions: int = 5) -> None:
        """Write the settings of a pooler.

        Args:
            folder: one that the pooler's user can reach, see `private_folder`.
            url: of the server, as the user who connects.
            sessions: most sessions on the server for each user and database.
        """
        parts = urlsplit(url)
        assert parts.username is not None
        self.server_url = parts._replace(path="").geturl()
        self.port = free_port()
        self.url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}").geturl()
        users = folder / "users.txt"
        users.write_text(f'"{parts.username}" ""\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            SETTINGS.format(
                host=parts.hostname,
                target=parts.port,
                port=self.port,
                users=users,
                sessions=sessions,
            )
        )
        command = [program("pgbouncer", package="pgbouncer"), str(settings)]
        self.process = ServerProcess(command, folder, user=unprivileged())

    def start(self) -> None:
        """Start it, and return when it listens."""
        self.process.start(lambda: not is_free(self.port))

    def stop(self) -> None:
        """End all connections, and stop."""
        self.process.stop(signal.SIGTERM)


@contextmanager
def pgbouncer(url: str, *, sessions: int = 5) -> Iterator[PgBouncer]:
    """Yield a pooler in front of the server of `url`, and stop it at the end."""
    with private_folder("pgbouncer", unprivileged()) as folder:
        pooler = PgBouncer(folder, url, sessions=sessions)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.process.resume()
            pooler.stop()
