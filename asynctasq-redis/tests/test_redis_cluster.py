"""A cluster of three nodes: every operation stays within one of them."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from asynctasq.message import Message, new_id
from asynctasq.testing import run_conformance
from asynctasq_redis import RedisDriver
from tests.servers.redis import RedisServer, redis_cluster

THEMES = ("enqueue", "settle", "wait", "results", "inspect")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of two of its nodes."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield _address(nodes[:2])


def _address(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def test_a_cluster_keeps_every_rule(cluster: str) -> None:
    report = await run_conformance(
        lambda: RedisDriver(cluster, namespace=uuid4().hex), durable=True, only=THEMES
    )
    assert report.ok, str(report)


async def test_several_namespaces_share_the_nodes(cluster: str) -> None:
    drivers = [RedisDriver(cluster, namespace=f"shop-{number}") for number in range(8)]
    await asyncio.gather(*(driver.open() for driver in drivers))
    try:
        for driver in drivers:
            await driver.enqueue([Message(new_id(), "q", "task", b"")])
        counts = await asyncio.gather(*(driver.count("q") for driver in drivers))
        assert [count.ready for count in counts] == [1] * 8
    finally:
        await asyncio.gather(*(driver.close() for driver in drivers))


async def test_without_saying_cluster_the_error_says_it(cluster: str) -> None:
    """Whether a single address happens to be the right node is chance, so all are tried."""
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
