"""Redis (or Valkey) servers: one, a cluster of three, or a primary with replicas and sentinels."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from tests.servers.packages import program
from tests.servers.processes import START_SECONDS, ServerProcess, free_port

VARIABLE = "ASYNCTASQ_TEST_REDIS_URL"
"""A server to test on, instead of one that is started."""
PROGRAM = "ASYNCTASQ_TEST_REDIS_PROGRAM"
"""The path of the server to start, of another Redis or of Valkey."""
BUS = 10_000
"""Nodes of a cluster talk to each other on a port that is so much higher."""


class RedisServer:
    """A server of our own: in memory, unless told otherwise."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        executable = os.environ.get(PROGRAM) or program(
            "redis-server", "valkey-server", package="redis-server"
        )
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"
        given = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        defaults = ["--save", "", "--daemonize", "no"]
        self.process = ServerProcess([executable, *given, *defaults, *options], folder)

    def start(self, **credentials: Any) -> None:
        """Start it; `credentials` are what a client needs to be let in."""
        self._credentials = credentials
        self.process.start(self._is_up)

    def _is_up(self) -> bool:
        with suppress(redis.RedisError, OSError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> "redis.Redis":
        """Return a client of this server; the caller closes it."""
        return redis.Redis.from_url(self.url, protocol=2, **self._credentials)

    def restart(self, number: int = 15) -> None:
        """Stop it with a signal, and start it again on its files."""
        self.process.stop(number)
        self.process.start(self._is_up)

    def stop(self) -> None:
        self.process.stop()


@contextmanager
def redis_server(folder: Path, *options: str, **credentials: Any) -> Iterator[RedisServer]:
    """Yield a server, and stop it at the end."""
    server = RedisServer(folder, *options)
    server.start(**credentials)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis_url(folder: Path) -> Iterator[str]:
    """Yield the URL of a server that tests share."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with redis_server(folder) as server:
        yield server.url


@contextmanager
def redis_cluster(folder: Path, *options: str, replicas: int = 0) -> Iterator[list[RedisServer]]:
    """Three primaries, each with a third of the slots and so many replicas, which come behind them."""
    with ExitStack() as stack:
        nodes = []
        for number in range(3 + 3 * replicas):
            port = free_port(companion=BUS)
            own = folder / str(number)
            node = RedisServer(
                own,
                *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *options),
                port=port,
            )
            node.start()
            stack.callback(node.stop)
            nodes.append(node)
        command = [program("redis-cli", "valkey-cli", package="redis-tools"), "--cluster", "create"]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        subprocess.run(
            [*command, *addresses, "--cluster-replicas", str(replicas), "--cluster-yes"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        deadline = time.monotonic() + START_SECONDS
        while not all(_is_in_a_cluster(node) for node in nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not come up")
            time.sleep(0.02)
        yield nodes


def owner_of(nodes: Sequence[RedisServer], namespace: str) -> int:
    """Return the index of the node that has the keys of a namespace."""
    slot = key_slot(f"{{{namespace}}}:".encode())
    with nodes[0].client() as client:
        spans: Any = client.execute_command("CLUSTER", "SLOTS")
    [port] = [span[2][1] for span in spans if span[0] <= slot <= span[1]]
    return [node.port for node in nodes].index(port)


def _is_in_a_cluster(node: RedisServer) -> bool:
    with node.client() as client:
        told: Any = client.execute_command("CLUSTER", "INFO")
    return "cluster_state:ok" in str(told) or (
        isinstance(told, dict) and told.get("cluster_state") == "ok"
    )


class Sentinels:
    """A primary, two replicas, and three sentinels that watch them."""

    service = "tested"

    def __init__(self, folder: Path) -> None:
        self.primary = RedisServer(folder / "primary")
        follow = ("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replicas = [RedisServer(folder / f"replica{n}", *follow) for n in range(2)]
        self._folder = folder
        self._watchers: list[RedisServer] = []

    def start(self) -> None:
        self.primary.start()
        for replica in self.replicas:
            replica.start()
        for number in range(3):
            self._watchers.append(self._sentinel(self._folder / f"sentinel{number}"))

    def _sentinel(self, folder: Path) -> RedisServer:
        folder.mkdir()
        watcher = RedisServer(folder)
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {watcher.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {self.service} 127.0.0.1 {self.primary.port} 2\n"
            f"sentinel down-after-milliseconds {self.service} 1000\n"
            f"sentinel failover-timeout {self.service} 5000\n"
        )
        watcher.process.command[1:] = [str(settings), "--sentinel"]
        watcher.start()
        return watcher

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{watcher.port}" for watcher in self._watchers)
        return f"redis+sentinel://{hosts}/{self.service}/0"

    def stop(self) -> None:
        for server in (*self._watchers, self.primary, *self.replicas):
            server.stop()


@contextmanager
def redis_sentinels(folder: Path) -> Iterator[Sentinels]:
    """Yield a primary and replicas that sentinels watch, and stop them at the end."""
    servers = Sentinels(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def lasting_keys(client: "redis.Redis", namespace: str) -> list[str]:
    """Return the keys of a namespace that do not expire, without their prefix and the mark of the format."""
    prefix = f"{{{namespace}}}:".encode()
    keys: list[bytes] = list(client.scan_iter(match=prefix + b"*", count=1000))
    # -2 is of those that have expired since.
    lasting = (
        key.removeprefix(prefix)
        for key in keys
        if client.pttl(key) == -1 and key != prefix + b"format"
    )
    return sorted(key.decode(errors="backslashreplace") for key in lasting)
