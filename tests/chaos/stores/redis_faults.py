"""Faults that only Redis can have."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from tests.chaos.faults.connections import CONNECTIONS
from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.faults.servers import SERVER_KILLED
from tests.chaos.inside.redis import SCRIPT_ABORTED

if TYPE_CHECKING:
    from tests.chaos.stores.redis import RedisStore

COMMANDS = ("zadd", "zrem", "hset", "hdel", "sadd", "srem", "set", "setrange", "del", "hincrby")
"""Commands of scripts that write."""
PAUSE_MILLISECONDS = 1000


def _store(scene: Scene) -> "RedisStore":
    return cast("RedisStore", scene.store)


async def _cut_clients(scene: Scene) -> None:
    def kill(client: Any) -> None:
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    await _store(scene).ask(kill)


async def _flush_scripts(scene: Scene) -> None:
    await _store(scene).ask(lambda client: client.script_flush())


async def _pause(scene: Scene) -> None:
    """Let the server hold all clients."""
    await _store(scene).ask(lambda client: client.client_pause(PAUSE_MILLISECONDS))
    await asyncio.sleep(PAUSE_MILLISECONDS / 1000)


async def _forbid(scene: Scene) -> None:
    """Revoke the permission to run one command, so that scripts fail at it."""
    command = scene.chance.choice(COMMANDS)
    store = _store(scene)
    await store.set_user("storm", f"-{command}")
    try:
        await asyncio.sleep(scene.chance.uniform(0.2, 0.8))
    finally:
        await store.set_user("storm", f"+{command}")


async def _fill(scene: Scene) -> None:
    """Leave the server no memory for more."""
    store = _store(scene)
    await store.ask(lambda client: client.config_set("maxmemory", "1mb"))
    try:
        await asyncio.sleep(scene.chance.uniform(0.2, 1.0))
    finally:
        await store.ask(lambda client: client.config_set("maxmemory", "0"))


async def _abort_scripts(scene: Scene) -> None:
    await scene.inside(SCRIPT_ABORTED, 1.0, rate=0.3)


REDIS_STORE = (
    SERVER_KILLED,
    *CONNECTIONS,
    Fault("connections cut by the server", _cut_clients),
    Fault("scripts flushed", _flush_scripts),
    Fault("clients paused", _pause),
)
REDIS_PARTIAL = (
    Fault("commands forbidden", _forbid),
    Fault("memory full", _fill),
    Fault(SCRIPT_ABORTED, _abort_scripts, counted_inside=True),
)
