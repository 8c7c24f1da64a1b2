"""Another call after a script that failed half-way: counts and listings agree at once."""

from collections.abc import Iterator
from hashlib import sha1
from typing import Any

import pytest
import redis

from asynctasq.conformance.aborts import Operation
from asynctasq.conformance.follow_ups import FOLLOW_UPS, check_follow_up
from asynctasq.contracts.driver import Driver
from asynctasq_redis import RedisDriver
from asynctasq_redis.scripts import Script, script
from tests.servers.redis import RedisServer, redis_server

SCRIPT = """
local plain, at = redis.call, tonumber(redis.call('GET', 'sabotage:at') or 0)
local function counted(...)
    if at > 0 and plain('INCR', 'sabotage:count') == at then error('injected') end
    return plain(...)
end
"""
"""Lets the command with a certain number fail, counted over all scripts."""
STEP = 40
"""The step between commands that fail, if the tests do not run in full."""


class Saboteur:
    """Lets the command with a certain number fail."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def arm(self, statement: int) -> None:
        self._client.mset({"sabotage:at": statement, "sabotage:count": 0})

    def disarm(self) -> bool:
        found: Any = self._client.mget("sabotage:at", "sabotage:count")
        self._client.delete("sabotage:at")
        at, count = map(int, found)
        return count >= at

    def script(self, name: str) -> Script:
        source = SCRIPT + script(name).source.decode().replace("redis.call", "counted")
        return Script(
            name, source.encode(), sha1(source.encode(), usedforsecurity=False).hexdigest()
        )


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("follow-ups")) as server:
        yield server


@pytest.fixture
def saboteur(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Saboteur]:
    with own_server.client() as client:
        client.flushdb()
        saboteur = Saboteur(client)
        monkeypatch.setattr("asynctasq_redis.server.script", saboteur.script)
        yield saboteur


@pytest.mark.parametrize(
    ("operation", "then"), FOLLOW_UPS, ids=lambda operation: operation.__name__
)
async def test_another_call_after_a_script_that_failed_leaves_no_stray_entry(
    own_server: RedisServer,
    saboteur: Saboteur,
    operation: Operation,
    then: Operation,
    request: pytest.FixtureRequest,
) -> None:
    namespaces: list[str] = []

    def make_driver(name: str) -> RedisDriver:
        namespaces.append(name)
        return RedisDriver(own_server.url, namespace=name)

    async def damage(_: Driver, message_id: bytes) -> None:
        with own_server.client() as client:
            client.set(f"{{{namespaces[-1]}}}:2:m:".encode() + message_id, b"damaged")

    every = 1 if request.config.getoption("full") else STEP
    await check_follow_up(operation, then, make_driver, saboteur, damage=damage, every=every)
