"""A worker sleeps as long as nothing can happen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest

from asynctasq.message import Lease, Message, new_id
from asynctasq.settlement import ErrorInfo, Release, Retry, Settlement
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import opened

LOOK = "SELECT ready, until FROM asynctasq.look_1($1, $2, 0)"

ANNOUNCED = """
SELECT EXISTS (
    SELECT 1 FROM asynctasq.sleepers AS s
    JOIN asynctasq.queues AS q ON q.key = s.queue JOIN asynctasq.namespaces AS n ON n.key = q.namespace
    WHERE n.name = $1 AND s.until > 0
)
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_no_time_is_named_for_the_next_look_if_there_are_no_leases(
    url: str, namespace: str
) -> None:
    """Otherwise, an idle worker would look without a pause."""
    async with opened(PostgresDriver(url, namespace=namespace)) as driver:
        await driver.enqueue([Message(new_id(), "other", "t", b"")])
        assert not await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
    async with connected(url) as connection:
        found = await connection.fetchrow(LOOK, namespace, ["q"])
    assert tuple(found) == (False, None)


async def test_an_idle_worker_announces_once_that_it_sleeps(url: str, namespace: str) -> None:
    """Only a second reserve in a row, which a busy worker makes, withdraws the announcement."""
    async with opened(PostgresDriver(url, namespace=namespace)) as driver, connected(url) as other:

        async def is_announced() -> bool:
            found: bool = await other.fetchval(ANNOUNCED, namespace)
            return found

        for _ in range(2):
            await driver.wait(["q"], timeout=0.01)
            assert await is_announced()
            assert not await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
            assert await is_announced()
        assert not await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        assert not await is_announced()


async def test_an_announcement_that_was_kept_is_of_use(url: str, namespace: str) -> None:
    driver = PostgresDriver(url, namespace=namespace, poll_interval=60.0)
    async with opened(driver), opened(PostgresDriver(url, namespace=namespace)) as other:
        await driver.wait(["q"], timeout=0.01)
        assert not await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        waiting = asyncio.create_task(driver.wait(["q"], timeout=50.0))
        await asyncio.sleep(0)
        await other.enqueue([Message(new_id(), "q", "t", b"")])
        async with asyncio.timeout(20.0):
            await waiting
        assert len(await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)) == 1


@pytest.mark.parametrize(
    "end",
    [Release, partial(Retry, delay=0.0, error=ErrorInfo("E", "", ""))],
    ids=["release", "retry"],
)
async def test_a_message_that_comes_back_wakes_a_sleeping_worker(
    url: str, namespace: str, end: Callable[[Lease], Settlement]
) -> None:
    sleeper = PostgresDriver(url, namespace=namespace, poll_interval=60.0)
    async with opened(sleeper), opened(PostgresDriver(url, namespace=namespace)) as driver:
        await driver.enqueue([Message(new_id(), "q", "t", b"")])
        [found] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        await sleeper.wait(["q"], timeout=0.01)
        waiting = asyncio.create_task(sleeper.wait(["q"], timeout=50.0))
        await asyncio.sleep(0)
        await driver.settle([end(found.lease)])
        async with asyncio.timeout(20.0):
            await waiting
        assert len(await sleeper.reserve({"q": 1}, limit=1, owner="other", lease=60.0)) == 1


async def test_each_of_several_messages_wakes_the_process_that_sleeps_for_it(
    url: str, namespace: str
) -> None:
    """The first call notifies itself; those that come soon after it leave that to the doorbell."""
    queues = ["a", "b", "c"]
    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(opened(PostgresDriver(url, namespace=namespace)))
        waits = []
        for queue in queues:
            sleeper = PostgresDriver(url, namespace=namespace, poll_interval=60.0)
            await stack.enter_async_context(opened(sleeper))
            await sleeper.wait([queue], timeout=0.01)
            waits.append(asyncio.create_task(sleeper.wait([queue], timeout=50.0)))
        await asyncio.sleep(0)
        for queue in queues:
            [added] = await driver.enqueue([Message(new_id(), queue, "t", b"")])
            assert added.created
        async with asyncio.timeout(20.0):
            await asyncio.gather(*waits)


async def test_a_known_message_is_not_added_again_while_a_process_sleeps(
    url: str, namespace: str
) -> None:
    sleeper = PostgresDriver(url, namespace=namespace)
    async with opened(sleeper), opened(PostgresDriver(url, namespace=namespace)) as driver:
        message = Message(new_id(), "q", "t", b"")
        for is_new in (True, False):
            await sleeper.wait(["q"], timeout=0.01)
            [added] = await driver.enqueue([message])
            assert (added.id, added.created) == (message.id, is_new)
        assert (await driver.count("q")).ready == 1
