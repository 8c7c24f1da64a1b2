"""Redis as a store on which the tests of all distributions run: see `tests/stores.py`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq_redis import RedisDriver
from tests.servers.redis import RedisServer, redis_server
from tests.servers.shared import shared_url
from tests.stores import ServerStore, Store, StoreKind


@contextmanager
def _namespace(_: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server."""
    url, namespace = shared_url("redis", factory), f"test-{uuid4().hex}"
    yield Store(
        f"{url}?namespace={namespace}",
        lambda: RedisDriver(url, namespace=namespace),
        RedisDriver.capabilities,
    )


class RedisServerStore(ServerStore):
    """A server that keeps every accepted message."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.url = server.url

    def stop(self) -> None:
        self._server.process.stop()

    def start(self) -> None:
        self._server.start()

    def crash(self) -> None:
        self._server.process.stop(signal.SIGKILL)

    def disconnect_clients(self) -> None:
        with self._server.client() as client:
            for kind in ("pubsub", "normal"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@contextmanager
def _server(folder: Path) -> Iterator[ServerStore]:
    with redis_server(folder, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield RedisServerStore(server)


KIND = StoreKind("redis", _namespace, server=_server)
