"""Servers that flush scripts, cut connections, restart, fill up and refuse; and `close()` during calls."""

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asynctasq.conformance import TcpProxy
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Settled
from asynctasq_redis import RedisDriver
from tests.drivers.lives import live_a_life, patiently
from tests.drivers.opening import message, opened
from tests.servers.processes import free_port
from tests.servers.redis import RedisServer, redis_server

pytestmark = pytest.mark.sampled(2)

MakeDriver = Callable[..., RedisDriver]
MakeProxy = Callable[[str], TcpProxy]
LEASE = 60.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Yield a server that a test may break; accepted messages survive."""
    with redis_server(
        tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always"
    ) as server:
        yield server


async def test_cut_idle_connections_are_replaced_silently(own_server: RedisServer) -> None:
    async with opened(RedisDriver(own_server.url)) as driver:
        await asyncio.gather(*(live_one(driver) for _ in range(5)))
        for _ in range(3):
            [leased] = await driver.reserve({"other": 1}, limit=1, owner="one", lease=LEASE)
            with own_server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.05)
            assert await driver.settle([Complete(leased.lease)]) == [Settled.DONE]
        with own_server.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await live_one(driver)


async def live_one(driver: RedisDriver) -> None:
    await driver.enqueue([Message(new_id(), "other", "task", b"")])


async def test_waiter_is_woken_although_its_connection_was_cut(
    own_server: RedisServer,
) -> None:
    async with opened(RedisDriver(own_server.url)) as driver:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
        await asyncio.sleep(0.1)
        with own_server.client() as client:
            for kind in ("pubsub", "normal"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        async with opened(driver.clone()) as other:
            await other.enqueue([message()])
        async with asyncio.timeout(10.0):
            await waiting


async def test_accepted_messages_survive_a_restart(own_server: RedisServer) -> None:
    async with opened(RedisDriver(own_server.url)) as driver:
        kept = [message() for _ in range(10)]
        await driver.enqueue(kept)
        [leased] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        await asyncio.to_thread(own_server.restart, signal.SIGKILL)
        deadline = asyncio.get_running_loop().time() + 30.0
        while True:
            try:
                assert await driver.settle([Complete(leased.lease)]) == [Settled.DONE]
                break
            except DriverUnavailable:
                assert asyncio.get_running_loop().time() < deadline
        got = await driver.reserve({"q": 100}, limit=100, owner="one", lease=LEASE)
        assert {delivery.message.id for delivery in got} | {leased.message.id} == {
            one.id for one in kept
        }


async def test_stopped_server_is_unavailable_until_it_starts(
    own_server: RedisServer,
) -> None:
    async with opened(RedisDriver(own_server.url)) as driver:
        await live_a_life(driver)
        waiting = asyncio.create_task(driver.wait(["nothing"], timeout=30.0))
        await asyncio.sleep(0.05)
        own_server.stop()
        with pytest.raises(DriverUnavailable, match="cannot be reached"):
            await driver.enqueue([message()])
        with pytest.raises(DriverUnavailable):
            await waiting
        own_server.restart()
        await patiently(partial(live_a_life, driver))


async def test_hanging_server_is_unavailable(own_server: RedisServer) -> None:
    async with opened(RedisDriver(own_server.url, timeout=0.2)) as driver:
        await live_a_life(driver)
        own_server.process.send(signal.SIGSTOP)
        try:
            with pytest.raises(DriverUnavailable):
                await driver.count("q")
        finally:
            own_server.process.send(signal.SIGCONT)
        await patiently(partial(live_a_life, driver))


async def test_half_open_connection_is_unavailable_and_is_replaced(
    own_server: RedisServer, asynctasq_proxy: MakeProxy
) -> None:
    proxy = asynctasq_proxy(own_server.url)
    async with opened(RedisDriver(proxy.url, timeout=0.3)) as driver:
        await live_a_life(driver)
        waiting = asyncio.create_task(driver.wait(["nothing"], timeout=0.5))
        await asyncio.sleep(0.05)
        proxy.freeze()
        with pytest.raises(DriverUnavailable):
            await driver.enqueue([message()])
        async with asyncio.timeout(30.0):  # a waiter receives nothing, and gives up nevertheless
            with suppress(DriverUnavailable):
                await waiting
        proxy.cut()
        proxy.thaw()
        with own_server.client() as client:
            client.flushdb()  # it is unknown whether the enqueue arrived
        await patiently(partial(live_a_life, driver))


async def test_reset_connections_are_replaced(
    own_server: RedisServer, asynctasq_proxy: MakeProxy
) -> None:
    proxy = asynctasq_proxy(own_server.url)
    async with opened(RedisDriver(proxy.url)) as driver:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
        for _ in range(3):
            await live_one(driver)
            proxy.reset()
            await patiently(partial(live_a_life, driver))
        await driver.enqueue([message()])  # it may not know about the others
        async with asyncio.timeout(30.0):
            with suppress(DriverUnavailable):
                await waiting


async def test_open_without_a_server_is_unavailable() -> None:
    driver = RedisDriver(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(DriverUnavailable, match="cannot be reached"):
        await driver.open()
    await driver.close()


async def test_outage_is_one_log_line_and_one_for_its_end(
    own_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "asynctasq.redis")

    async def wait(driver: RedisDriver) -> None:
        while True:
            with suppress(DriverUnavailable):
                await driver.wait(["q"], timeout=60.0)
            await asyncio.sleep(0.02)

    def lines(level: str = "INFO") -> list[str]:
        found = [each for each in caplog.records if each.levelname == level]
        return [each.getMessage() for each in found if "isten" in each.getMessage()]

    async with opened(RedisDriver(own_server.url)) as driver:
        await live_a_life(driver)
        waiting = [asyncio.create_task(wait(driver)) for _ in range(3)]
        try:
            async with asyncio.timeout(30.0):
                own_server.process.stop(signal.SIGKILL)
                while len(lines("DEBUG")) < 3:  # further tries to listen
                    await asyncio.sleep(0.02)
                own_server.start()
                while len(lines()) < 2:
                    await asyncio.sleep(0.02)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    first, last = lines()
    assert first.startswith("Lost the connection that listens")
    assert last.startswith("Listening")


async def test_enqueue_waits_for_replicas(own_server: RedisServer, tmp_path: Path) -> None:
    driver = RedisDriver(own_server.url, wait_replicas=1, wait_replicas_timeout=0.1)
    async with opened(driver):
        with pytest.raises(DriverUnavailable, match="replicas"):
            await driver.enqueue([message()])
        port = str(own_server.port)
        with redis_server(tmp_path / "replica", "--replicaof", "127.0.0.1", port):
            async with asyncio.timeout(30.0):
                while True:
                    try:
                        await driver.enqueue([message()])
                        break
                    except DriverUnavailable:
                        await asyncio.sleep(0.05)


def test_driver_serves_several_loops(make_driver: MakeDriver) -> None:
    driver = make_driver()

    async def use(one: RedisDriver) -> None:
        async with opened(one):
            await live_a_life(one)

    asyncio.run(use(driver))
    asyncio.run(use(driver))
    asyncio.run(use(driver.clone()))


def test_driver_of_a_closed_loop_closes_on_another_loop(make_driver: MakeDriver) -> None:
    driver = make_driver()

    async def open_and_leave() -> None:
        await driver.open()
        await driver.wait(["q"], timeout=0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(open_and_leave())
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
    asyncio.run(driver.close())


def test_forked_child_opens_a_clone(make_driver: MakeDriver) -> None:
    driver = make_driver()
    with asyncio.Runner() as runner:
        runner.run(driver.open())
        runner.run(live_a_life(driver))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = asyncio.run(_in_the_child(driver))
            finally:
                traceback.print_exc()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        runner.run(live_a_life(driver))
        runner.run(driver.close())


async def _in_the_child(inherited: RedisDriver) -> int:
    try:
        await inherited.count("q")
    except DriverError as error:
        if "forked" not in str(error):
            return 2
    else:
        return 3
    async with opened(inherited.clone()) as driver:
        await live_a_life(driver)
    return 0


async def test_calls_beyond_the_limit_of_connections_wait_for_their_turn(
    own_server: RedisServer,
) -> None:
    async with opened(RedisDriver(own_server.url, max_connections=2)) as driver:
        await asyncio.gather(*(live_one(driver) for _ in range(50)))
        assert (await driver.count("other")).ready == 50
        with own_server.client() as client:
            ours = [one for one in client.client_list() if one["name"] == "asynctasq"]
        assert len(ours) <= 2


async def nobody_is_connected(server: RedisServer) -> None:
    """Return when no connection of a driver is left."""
    with server.client() as client:
        async with asyncio.timeout(10.0):
            while any(one["name"] == "asynctasq" for one in client.client_list()):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("max_connections", [1, 50])
async def test_calls_under_way_at_close_end_with_an_error_and_leave_no_connection(
    own_server: RedisServer, asynctasq_proxy: MakeProxy, max_connections: int
) -> None:
    """One call waits for its answer, the others for a connection."""
    proxy = asynctasq_proxy(own_server.url)
    driver = RedisDriver(proxy.url, max_connections=max_connections)
    await driver.open()
    proxy.freeze()
    begun: list[Coroutine[Any, Any, Any]] = [driver.settle([]), driver.count("q")]
    begun += [driver.enqueue([message()]) for _ in range(3)]
    calls = [asyncio.create_task(each) for each in begun]
    await asyncio.sleep(0.05)
    await driver.close()
    proxy.thaw()
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert first == []  # there was nothing to settle
    for each in others:
        assert isinstance(each, DriverError)
        assert not isinstance(each, DriverUnavailable)
        assert "was closed while this call was under way" in str(each)
    with pytest.raises(DriverError, match="is not open"):
        await driver.count("q")
    await nobody_is_connected(own_server)


@pytest.mark.parametrize("turns", range(1, 8))
async def test_waiter_returns_when_the_driver_closes(own_server: RedisServer, turns: int) -> None:
    driver = RedisDriver(own_server.url)
    await driver.open()
    waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
    for _ in range(turns):
        await asyncio.sleep(0)
    await driver.close()
    async with asyncio.timeout(0.5):
        await waiting
    await nobody_is_connected(own_server)


@pytest.mark.parametrize("turns", range(1, 6))
async def test_cancelled_close_leaves_no_connection(own_server: RedisServer, turns: int) -> None:
    driver = RedisDriver(own_server.url)
    await driver.open()
    waiting = asyncio.create_task(driver.wait(["nothing"], timeout=60.0))
    await asyncio.gather(*(live_one(driver) for _ in range(3)))
    with own_server.client() as client:
        while not client.client_list(_type="pubsub"):
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(driver.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, waiting, return_exceptions=True)
    await nobody_is_connected(own_server)
    gc.collect()  # what was not closed warns now


async def test_calls_that_are_cancelled_twice_leave_no_connection(own_server: RedisServer) -> None:
    async with opened(RedisDriver(own_server.url)) as driver:
        for number in range(40):
            call = asyncio.create_task(driver.count("q"))
            for _ in range(number % 8):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    await nobody_is_connected(own_server)
    gc.collect()
