"""A failover by sentinels while tasks run: messages that both servers had are not lost."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from asynctasq.errors import DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete
from asynctasq_redis import RedisDriver
from tests.servers.redis import redis_sentinels

T = TypeVar("T")
LEASE = 2.0
PATIENCE = 90.0
"""Seconds. Sentinels on a busy machine need long to agree."""


async def persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call while the store is unavailable, as core does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except DriverUnavailable:
                await asyncio.sleep(0.05)


async def test_failover_under_load_loses_nothing(tmp_path: Path) -> None:
    with redis_sentinels(tmp_path) as servers:
        await _opens_in_spite_of_sentinels_that_hang(servers.url)
        driver = RedisDriver(servers.url, wait_replicas=1, wait_replicas_timeout=0.2, timeout=2.0)
        await persistently(driver.open)
        try:
            await _fail_over(driver, servers.primary.process.stop)
        finally:
            await driver.close()


async def _opens_in_spite_of_sentinels_that_hang(url: str) -> None:
    with ExitStack() as stack:
        hanging = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(2)
        ]
        hosts = ",".join(f"127.0.0.1:{port}" for port in hanging)
        driver = RedisDriver(url.replace("//", f"//{hosts},"), timeout=3.0)
        await persistently(driver.open)
        await driver.close()


async def _fail_over(driver: RedisDriver, stop: Callable[[int], None]) -> None:
    accepted: list[bytes] = []
    done: set[bytes] = set()
    failing = asyncio.Event()

    async def produce() -> None:
        while len(accepted) < 200:
            message = Message(new_id(), "q", "task", b"body")
            await persistently(partial(driver.enqueue, [message]))
            accepted.append(message.id)
            if len(accepted) == 100:
                failing.set()

    async def consume() -> None:
        while not (len(accepted) == 200 and done.issuperset(accepted)):
            reserve = partial(driver.reserve, {"q": 5}, limit=5, owner="one", lease=LEASE)
            got = await persistently(reserve)
            endings = [Complete(delivery.lease) for delivery in got]
            await persistently(partial(driver.settle, endings))
            done.update(delivery.message.id for delivery in got)
            if not got:
                # As a lease renewer does: this releases messages whose delivery was lost.
                await persistently(partial(driver.extend, "one", [], lease=LEASE))
                await asyncio.sleep(0.05)

    async def fail() -> None:
        await failing.wait()
        await asyncio.to_thread(stop, signal.SIGKILL)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(produce(), consume(), fail())
    assert done == set(accepted)
