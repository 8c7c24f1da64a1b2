"""A MariaDB (or MySQL) server of our own, on a free port of the loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def mariadb_server() -> Iterator[str]:
    """Yield the URL of a server, whose user may do everything, and stop it at the end."""
    user = unprivileged()
    server = program("mariadbd", package="mariadb-server")
    install = program("mariadb-install-db", package="mariadb-server")
    with private_folder("mariadb", user) as folder:
        port = free_port()
        account = folder / "account.sql"
        account.write_text(ACCOUNT)
        files = ("--no-defaults", f"--datadir={folder / 'data'}")
        place = ("--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}")
        own = (f"--pid-file={folder / 'pid'}", f"--init-file={account}")
        process = ServerProcess([server, *files, *place, *own, *QUICK], folder, user=user)
        process.run(install, *files, "--auth-root-authentication-method=normal", "--skip-test-db")
        process.start(lambda: greets(port))
        try:
            yield f"mysql://tester@127.0.0.1:{port}/mysql"
        finally:
            process.stop()


def greets(port: int) -> bool:
    """Return whether a server sends its greeting, which it does once its accounts exist."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
