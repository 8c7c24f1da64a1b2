"""PostgreSQL as a store on which the tests of all distributions run: see `tests/stores.py`."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from filelock import FileLock

from asynctasq_postgres import PostgresDriver
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.shared import run_folder, shared_url
from tests.stores import ServerStore, Store, StoreKind

SCHEMA = "shared_stores"


@contextmanager
def _namespace(_: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server."""
    url, namespace = shared_url("postgres", factory), f"test-{uuid4().hex}"
    _migrate(url, run_folder(factory))
    yield Store(
        f"{url}?namespace={namespace}&schema={SCHEMA}",
        lambda: PostgresDriver(url, namespace=namespace, schema=SCHEMA),
        PostgresDriver.capabilities,
    )


def _migrate(url: str, folder: Path) -> None:
    """Create the tables, once for all tests of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"postgres.{SCHEMA}"
    with FileLock(folder / "postgres.migration.lock"):
        if not mark.exists():
            asyncio.run(PostgresDriver(url, schema=SCHEMA).migrate())
            mark.touch()


class PostgresServerStore(ServerStore):
    """A server that syncs every accepted message."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.url = server.url

    def stop(self) -> None:
        self._server.process.stop(signal.SIGINT)

    def start(self) -> None:
        self._server.start()

    def crash(self) -> None:
        self._server.process.stop(signal.SIGQUIT)

    def disconnect_clients(self) -> None:
        asyncio.run(_terminate_backends(self.url))


async def _terminate_backends(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    finally:
        await connection.close()


@contextmanager
def _server(_: Path) -> Iterator[ServerStore]:
    with running_postgres("fsync=on", "synchronous_commit=on") as server:
        asyncio.run(PostgresDriver(server.url).migrate())
        yield PostgresServerStore(server)


KIND = StoreKind("postgres", _namespace, server=_server)
