"""Redis with sentinels, and as a cluster: a primary dies, and a replica takes its place.

What only the dead primary knew is lost, so tokens of leases may repeat. Acknowledged messages and
outcomes are on a replica, by `wait_replicas`.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from tests.chaos.faults.fault import PROCESSES, Fault, Lanes, Scene
from tests.chaos.faults.signals import SIGNALS
from tests.chaos.stores.store import NAMESPACE, Damage, Store
from tests.servers.redis import (
    RedisServer,
    Sentinels,
    owner_of,
    redis_cluster,
    redis_sentinels,
)

REPLICATED = "wait_replicas=1&wait_replicas_timeout=0.2&timeout=2"
LASTING = ("--appendonly", "yes", "--appendfsync", "always")
CALM_SECONDS = 60.0
MOST_FAIL_OVERS = 2


class ReplicatedStore(Store):
    """Servers of which one can take the place of another."""

    kind = "redis"
    keeps_tokens = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = ExitStack()
        self.left = MOST_FAIL_OVERS

    def stop(self) -> None:
        self._stack.close()

    def faults(self) -> Lanes:
        return {PROCESSES: SIGNALS, "store": [FAIL_OVER]}

    def fail_over(self) -> None:
        """Kill the primary; returns when another has its place."""
        raise NotImplementedError

    async def hang(self, seconds: float) -> None:
        raise NotImplementedError

    async def damage(self, chance: random.Random) -> Damage | None:
        raise NotImplementedError

    async def write_nonsense(self, chance: random.Random) -> None:
        raise NotImplementedError

    async def leftovers(self) -> list[str]:
        return []  # of one server it is checked

    async def calm(self) -> None:
        """Do nothing: each fault ends by itself."""


class SentinelStore(ReplicatedStore):
    """A primary, two replicas and three sentinels."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.left = 1
        self._servers: Sentinels | None = None

    @property
    def address(self) -> str:
        assert self._servers is not None
        return f"{self._servers.url}?{REPLICATED}"

    def start(self) -> None:
        self._servers = self._stack.enter_context(redis_sentinels(self.folder))

    def fail_over(self) -> None:
        assert self._servers is not None
        self._servers.primary.process.stop(signal.SIGKILL)


class ClusterStore(ReplicatedStore):
    """Three primaries with a replica each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._nodes: list[RedisServer] = []

    @property
    def address(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)
        return f"redis+cluster://{hosts}?{REPLICATED}"

    def start(self) -> None:
        self._nodes = self._stack.enter_context(redis_cluster(self.folder, *LASTING, replicas=1))

    def fail_over(self) -> None:
        """Kill the primary that has our keys, and start it again when another has its place."""
        asked = list(self._nodes)
        owner = asked.pop(owner_of(self._nodes, NAMESPACE))
        _until(lambda: _has_a_replica(owner))
        owner.process.stop(signal.SIGKILL)
        _until(lambda: _know_their_owner(asked))
        owner.restart()


async def _fail_over(scene: Scene) -> None:
    store = cast("ReplicatedStore", scene.store)
    if store.left:
        store.left -= 1
        await asyncio.to_thread(store.fail_over)
        scene.report.faults[FAIL_OVER.name] += 1


FAIL_OVER = Fault("primary killed", _fail_over, counted_inside=True)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + CALM_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("The cluster did not come to rest.")
        time.sleep(0.1)


def _has_a_replica(server: RedisServer) -> bool:
    with server.client() as client:
        told: Any = client.info("replication")
    return "slave0" in told and told["slave0"]["state"] == "online"


def _know_their_owner(nodes: list[RedisServer]) -> bool:
    try:
        owner_of(nodes, NAMESPACE)
    except ValueError:  # it is none of these
        return False
    return True
