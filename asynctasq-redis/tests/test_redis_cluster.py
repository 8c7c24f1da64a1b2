"""A cluster of three nodes: every operation stays on one of them."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from redis.crc import key_slot

from asynctasq.conformance import run_conformance
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq_redis import RedisDriver
from tests.servers.processes import free_port
from tests.servers.redis import RedisServer, owner_of, redis_cluster

pytestmark = pytest.mark.sampled(3)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Return three nodes."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def cluster(nodes: list[RedisServer]) -> str:
    """Return a URL with two of the nodes."""
    return _address(nodes[:2])


def _address(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def test_cluster_keeps_every_rule(cluster: str) -> None:
    report = await run_conformance(
        lambda: RedisDriver(cluster, namespace=uuid4().hex), durable=True
    )
    assert report.ok, str(report)


async def test_namespaces_are_spread_over_the_nodes(cluster: str) -> None:
    drivers = [RedisDriver(cluster, namespace=f"shop-{number}") for number in range(8)]
    await asyncio.gather(*(driver.open() for driver in drivers))
    try:
        for driver in drivers:
            await driver.enqueue([Message(new_id(), "q", "task", b"")])
        counts = await asyncio.gather(*(driver.count("q") for driver in drivers))
        assert [count.ready for count in counts] == [1] * 8
    finally:
        await asyncio.gather(*(driver.close() for driver in drivers))


async def test_calls_wait_for_a_moving_slot_and_follow_it(
    nodes: list[RedisServer], cluster: str
) -> None:
    name = uuid4().hex
    slot = key_slot(f"{{{name}}}:".encode())
    driver = RedisDriver(cluster, namespace=name)
    await driver.open()
    with ExitStack() as stack:
        clients: list[Any] = [stack.enter_context(node.client()) for node in nodes]
        ids = [client.execute_command("CLUSTER", "MYID") for client in clients]
        owner = owner_of(nodes, name)
        other = (owner + 1) % len(nodes)
        try:
            clients[other].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
            clients[owner].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[other])
            with pytest.raises(DriverUnavailable):
                await driver.enqueue([Message(new_id(), "q", "task", b"")])
            clients[owner].execute_command(
                *("MIGRATE", "127.0.0.1", nodes[other].port, f"{{{name}}}:format", 0, 5000)
            )
            for number in (other, owner, 3 - other - owner):
                clients[number].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[other])
            await driver.enqueue([Message(new_id(), "q", "task", b"")])
            assert (await driver.count("q")).ready == 1
            assert clients[other].execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) > 0
        finally:
            await driver.close()


async def test_nodes_that_hang_or_are_down_are_skipped(nodes: list[RedisServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        places = [hanging.getsockname()[1], free_port(), nodes[1].port]
        hosts = ",".join(f"127.0.0.1:{port}" for port in places)
        driver = RedisDriver(f"redis+cluster://{hosts}", namespace=uuid4().hex, timeout=2.0)
        await driver.open()
        await driver.enqueue([Message(new_id(), "q", "task", b"")])
        await driver.close()


async def test_error_of_a_cluster_without_its_scheme_names_the_scheme(cluster: str) -> None:
    """A single address may be the right node by chance, so this tries all."""
    port = cluster.rpartition(":")[2]
    hints = 0
    for number in range(20):
        driver = RedisDriver(f"redis://127.0.0.1:{port}", namespace=f"lost-{number}")
        try:
            await driver.open()
        except Exception as error:  # noqa: BLE001 - its text is what is looked at
            hints += "redis+cluster://" in str(error)
        finally:
            await driver.close()
    assert hints
