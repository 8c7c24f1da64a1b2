"""Several applications on one server, and one application in several places."""

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from asynctasq import App, Worker, task
from asynctasq.conformance import TcpProxy
from asynctasq.contracts.capabilities import CancelOutcome, WorkerInfo
from asynctasq.errors import ConfigurationError, DriverUnavailable, TaskCancelled
from asynctasq.message import Unique
from asynctasq.settlement import Complete, Fail, Reason
from asynctasq_redis import RedisDriver
from asynctasq_redis.timing import ListenerTiming
from tests.drivers.opening import message, opened
from tests.servers.redis import RedisServer, redis_server

PATIENCE = 30.0
LEASE = 60.0
NAMES = [
    "a",
    "a:b",
    "a:",
    "A",
    "a b",
    "*",
    "[a]",
    "a?",
    "\\",
    "ü",
    "a\nb",
    "a\0",
    '"',
    "a/b",
    "%61",
]


@pytest.mark.parametrize(("one", "other"), list(pairwise([*NAMES, NAMES[0]])))
async def test_namespaces_are_separate(url: str, one: str, other: str) -> None:
    run = uuid4().hex
    mine = RedisDriver(url, namespace=f"{run}{one}")
    theirs = RedisDriver(url, namespace=f"{run}{other}")
    async with opened(mine), opened(theirs):
        sent = [message(unique=Unique("key")), message(delay=60.0), message()]
        await mine.enqueue(sent)
        await mine.pause("q")
        await mine.record_worker(WorkerInfo("w", "h", 1, 0.0, ("q",), 1, 0, "1"), ttl=30.0)
        ids = [each.id for each in sent]
        assert await theirs.find(ids) == [None] * 3
        assert await theirs.cancel(ids) == [CancelOutcome.UNKNOWN] * 3
        assert await theirs.reserve({"q": 9}, limit=9, owner="o", lease=LEASE) == []
        assert (await theirs.queues(), await theirs.workers()) == ([], [])
        assert await theirs.paused() == frozenset()
        assert (await theirs.enqueue([message(unique=Unique("key"))]))[0].created
        await mine.resume("q")
        got = await mine.reserve({"q": 9}, limit=9, owner="o", lease=LEASE)
        assert [each.message.id for each in got] == [ids[0], ids[2]]
        await mine.settle([Complete(got[0].lease, b"r"), Fail(got[1].lease, Reason.FAILED, None)])
        assert await theirs.results(ids) == [None] * 3
        assert not (await theirs.dead_letters()).items
        assert (await mine.queues())[0].dead == 1


@pytest.mark.parametrize("name", ["", "{a", "a}", "half \ud800"])
def test_namespace_that_cannot_be_a_hash_tag_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="namespace"):
        RedisDriver(namespace=name)


OUTER = """
from asynctasq import task
from asynctasq_redis import RedisDriver
from asynctasq_redis.timing import ListenerTiming

driver = RedisDriver({url!r}, namespace={namespace!r})  # made at import, in the worker and in its child

@task(name="redis_sharing.inner", driver=driver)
async def inner(number):
    return number + 1

@task(name="redis_sharing.outer", process=True)
async def outer(number):
    return str(await inner(number).dispatch())
"""


async def test_child_process_dispatches_with_a_driver_created_at_import(
    url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis_sharing_shop.py").write_text(OUTER.format(url=url, namespace=namespace))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    shop: Any = import_module("redis_sharing_shop")
    del sys.modules["redis_sharing_shop"]  # its tasks go with it, when the test has ended
    async with App({"driver": shop.driver}) as app:
        worker = Worker(app=app, handle_signals=False, process_pool_size=1)
        running = asyncio.create_task(worker.start())
        async with asyncio.timeout(PATIENCE):
            handle = await app.dispatch(shop.outer(41))
            assert await app.handle(await handle.result()).result() == 42
            worker.stop()
            await running


async def test_worker_reacts_to_pauses_and_cancels(url: str, namespace: str) -> None:
    """It waits for work at first, and then runs a task."""
    begun, never = asyncio.Event(), asyncio.Event()

    @task(name=f"redis_sharing.waits_{namespace}")
    async def waits() -> None:
        begun.set()
        await never.wait()

    async with App({"driver": f"{url}?namespace={namespace}"}) as app:
        driver: Any = await app.driver()
        worker = Worker(app=app, handle_signals=False)
        running = asyncio.create_task(worker.start())
        async with asyncio.timeout(PATIENCE):
            first = await app.dispatch(waits())
            await begun.wait()
            await first.cancel()
            with pytest.raises(TaskCancelled):
                await first.result()
            begun.clear()
            await driver.pause("default")
            second = await app.dispatch(waits())
            await driver.wait(["default"], timeout=0.1)
            assert not begun.is_set()
            await driver.resume("default")
            await begun.wait()
            await second.cancel()
            worker.stop()
            await running


@pytest.fixture
def own_server(tmp_path: Path) -> Any:
    """Yield a server that only one test uses."""
    with redis_server(tmp_path / "server") as server:
        yield server


async def test_listener_replaces_a_half_open_connection(
    own_server: RedisServer,
    asynctasq_proxy: Callable[[str], TcpProxy],
) -> None:
    proxy = asynctasq_proxy(own_server.url)
    listening = RedisDriver(proxy.url, timeout=1.0, connect_timeout=0.2)
    listening.listener_timing = ListenerTiming(poll=PATIENCE, ping=0.05)  # only a push wakes
    async with opened(RedisDriver(own_server.url)) as other, opened(listening) as driver:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=2 * PATIENCE))
        with own_server.client() as client:
            async with asyncio.timeout(PATIENCE):
                before = await _listener_of(client)
                proxy.freeze()
                await asyncio.sleep(0.2)  # no notification arrives meanwhile
                proxy.thaw()
                while await _listener_of(client) == before:
                    await asyncio.sleep(0.01)
                while not client.exists("{asynctasq}:2:i:q"):
                    await asyncio.sleep(0.01)
                await other.enqueue([message()])
                try:
                    await waiting
                except DriverUnavailable:  # it was about to look when nothing passed
                    await driver.wait(["q"], timeout=PATIENCE)


async def _listener_of(client: "redis.Redis") -> str:
    """Return the id of the connection that listens."""
    while True:
        found: Any = client.client_list(_type="pubsub")
        if len(found) == 1:
            return str(found[0]["id"])
        await asyncio.sleep(0.01)
