"""The number of calls to Redis as the state store of a queue."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from asynctasq.contracts.driver import Driver
from asynctasq.drivers.composed import compose
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete
from asynctasq_redis import RedisDriver
from tests.composed.queue_driver import QueueDriver
from tests.servers.redis import RedisServer, redis_server

TASKS, BATCH = 1000, 100
MOST = 40
"""Calls to Redis for 1,000 tasks, beside those to the queue."""
SECONDS = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server without any other client."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@contextmanager
def commands(server: RedisServer) -> Iterator[Counter[str]]:
    """Count the commands that clients send in the block; those of scripts are part of their call."""
    found: Counter[str] = Counter()
    mark = uuid4().hex
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
        connection.sendall(b"MONITOR\r\n")
        lines = connection.makefile(encoding="utf-8", errors="replace")
        assert lines.readline().strip() == "+OK"
        yield found
        with server.client() as client:
            client.echo(mark)
        for line in lines:
            if mark in line:
                return
            _, _, rest = line.partition("[")
            client_name, _, command = rest.partition("] ")
            if not client_name.endswith("lua"):
                found[command.split()[0].strip('"').lower()] += 1


async def run(driver: Driver, count: int) -> None:
    """Run tasks as a worker does that has many slots."""
    await driver.enqueue([Message(new_id(), "emails", "app.send", b"body") for _ in range(count)])
    while count:
        deliveries = await driver.reserve({"emails": BATCH}, limit=BATCH, owner="w", lease=60.0)
        await driver.settle([Complete(each.lease, b"result") for each in deliveries])
        count -= len(deliveries)


async def test_a_thousand_tasks_cost_forty_calls_to_redis(server: RedisServer) -> None:
    driver = compose(QueueDriver(), RedisDriver(server.url, namespace=uuid4().hex))
    await driver.open()
    try:
        await run(driver, 1)  # the scripts are loaded
        with commands(server) as found:
            await run(driver, TASKS)
    finally:
        await driver.close()
    assert sum(found.values()) <= MOST, found
