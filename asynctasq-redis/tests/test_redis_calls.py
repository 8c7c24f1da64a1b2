"""The number of calls to the server, their commands, and the size of each."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import redis

from asynctasq import App, Worker, task
from asynctasq.dispatch.result_watcher import ResultWatcher, WatchTiming
from asynctasq.errors import ResultUnknown
from asynctasq.message import Message, State, id_from_text, id_to_text, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release
from asynctasq_redis import RedisDriver
from asynctasq_redis.timing import ListenerTiming
from tests.servers.redis import RedisServer, redis_server

PATIENCE = 30.0
NEVER = 1e9
LEASE = 60.0
BOUND = 1000
"""The most messages that one call moves."""
FEW = 250
"""The number of messages for operations that run a dozen commands."""
THROUGH_EVERYTHING = {"keys", "randomkey", "sort", "smove", "flushdb", "flushall"}
GROWING = {"lpush", "rpush", "lrem", "xadd", "append"}


@task(name="redis_calls.double")
async def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server without any other client."""
    with redis_server(tmp_path_factory.mktemp("counted")) as server:
        yield server


@pytest.fixture
def made(counted: RedisServer) -> Callable[[], RedisDriver]:
    """Return a function that makes drivers of one namespace."""
    namespace = uuid4().hex
    return lambda: RedisDriver(counted.url, namespace=namespace)


class Calls(Counter[str]):
    """The number of runs of each command, including those in scripts."""


@contextmanager
def calls(server: RedisServer) -> Iterator[Calls]:
    """Count the commands that run in the block."""
    found = Calls()
    with server.client() as client:
        before = _stats(client)
        yield found
        after = _stats(client)
        found.update({name: number - before[name] for name, number in after.items()})
    del found["info"]


def _stats(client: "redis.Redis") -> Counter[str]:
    report: Any = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in report.items()})


def messages(count: int, **fields: Any) -> list[Message]:
    return [Message(new_id(), "q", "task", b"body", **fields) for _ in range(count)]


async def test_every_operation_on_a_chunk_is_one_call(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    await driver.open()
    sent = messages(BOUND)
    ids = [each.id for each in sent]

    async def reserve() -> None:
        got.extend(await driver.reserve({"q": BOUND}, limit=BOUND, owner="one", lease=LEASE))

    got: list[Any] = []
    operations: list[Callable[[], Awaitable[object]]] = [
        lambda: driver.enqueue(sent),
        reserve,
        lambda: driver.extend("one", [each.lease for each in got], lease=LEASE),
        lambda: driver.set_progress([(each.lease, b"half") for each in got]),
        lambda: driver.progress(ids),
        lambda: driver.cancel(ids[:100]),
        lambda: driver.cancel_requests("one"),
        lambda: driver.settle([Release(each.lease) for each in got[:500]]),
        lambda: driver.settle([Complete(each.lease, b"result") for each in got[500:]]),
        lambda: driver.results(ids),
        lambda: driver.find(ids),
        lambda: driver.count("q"),
        lambda: driver.wait(["q", "other"], timeout=0.0),
        lambda: driver.wait_results(ids, timeout=0.0),
    ]
    try:
        await driver.enqueue([])
        for operation in operations:
            await operation()  # scripts are loaded, and the listener is connected
            with calls(counted) as asked:
                await operation()
            assert asked["evalsha"] <= 1, asked
            assert not asked["eval"]
        assert len(got) == BOUND
    finally:
        await driver.close()


async def test_script_is_sent_once(counted: RedisServer, made: Callable[[], RedisDriver]) -> None:
    driver, other = made(), made()
    await driver.open()
    await other.open()
    try:
        with counted.client() as client:
            client.script_flush()
        with calls(counted) as asked:
            for each in (driver, other, driver, other):
                await each.count("q")
        assert (asked["eval"], asked["evalsha"]) == (1, 4)
    finally:
        await driver.close()
        await other.close()


async def test_messages_due_at_once_are_promoted_in_pieces(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    await driver.open()
    try:
        await driver.enqueue(messages(3 * BOUND, delay=10.0))
        driver.clock_offset = 20.0
        for limit, most in ((1, 2 * BOUND), (BOUND, 40 * BOUND)):
            with calls(counted) as asked:
                got = await driver.reserve({"q": limit}, limit=limit, owner="one", lease=LEASE)
            assert len(got) == limit
            assert asked.total() < most, asked
            with counted.client() as client:
                promoted: Any = client.zcard(f"{{{driver.settings.namespace}}}:2:r:q")
            assert promoted <= BOUND
        assert (await driver.count("q")).ready == 3 * BOUND - 1 - BOUND
    finally:
        await driver.close()


async def test_reserve_returns_a_bounded_number_of_bytes(made: Callable[[], RedisDriver]) -> None:
    driver = made()
    await driver.open()
    size = 1024 * 1024
    try:
        sent = messages(30)
        await driver.enqueue([replace(each, body=bytes(size)) for each in sent])
        got = []
        while some := await driver.reserve({"q": 30}, limit=30, owner="one", lease=LEASE):
            assert len(some) <= 16
            got += [each.message.id for each in some]
        assert got == [each.id for each in sent]
    finally:
        await driver.close()


async def test_upkeep_of_many_messages_works_in_pieces(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    await driver.open()
    few = RedisDriver(counted.url, namespace=driver.settings.namespace, dead_letter_limit=1)
    await few.open()

    async def reserve(who: RedisDriver) -> None:
        with calls(counted) as asked:
            assert not await who.reserve({"nothing": 1}, limit=1, owner="two", lease=LEASE)
        assert asked.total() < 20 * FEW, asked

    try:
        await driver.enqueue(messages(2 * FEW, expires=10.0))
        driver.clock_offset = 20.0
        for piece in (1, 2):
            await reserve(driver)
            assert (await driver.count("q")).dead == piece * FEW
        few.clock_offset = driver.clock_offset
        await reserve(few)
        assert (await driver.count("q")).dead == FEW
        await driver.enqueue(messages(2 * FEW))
        await driver.reserve({"q": 2 * FEW}, limit=2 * FEW, owner="one", lease=LEASE)
        driver.clock_offset += 2 * LEASE  # which looks like an outage: its pause is over at once
        await driver.reserve({"nothing": 1}, limit=1, owner="two", lease=0.000_002)
        for piece in (1, 0):
            await reserve(driver)
            assert (await driver.count("q")).leased == piece * FEW
    finally:
        await driver.close()
        await few.close()


async def test_listings_and_purges_of_many_are_many_small_calls(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    await driver.open()
    try:
        await driver.enqueue(messages(2 * BOUND) + messages(BOUND, delay=LEASE))
        for number in range(250):
            await driver.enqueue([Message(new_id(), f"queue-{number}", "task", b"")])
        with calls(counted) as asked:
            assert len(await driver.queues()) == 251
        assert asked["evalsha"] + asked["eval"] >= 4
        with calls(counted) as asked:
            page = await driver.browse(State.READY, queue="q", limit=10)
            assert (await driver.find([page.items[0].message.id]))[0] == page.items[0]
        assert asked["evalsha"] == 3, "whatever the number of messages"
        with calls(counted) as asked:
            assert await driver.purge("q", states={State.READY, State.SCHEDULED}) == 3 * BOUND
        assert asked["evalsha"] + asked["eval"] >= 4
    finally:
        await driver.close()


async def listed(driver: RedisDriver, state: State, **options: Any) -> list[bytes]:
    """Return the ids on all pages of a listing."""
    found: list[bytes] = []
    cursor: str | None = None
    while True:
        page = await driver.browse(state, cursor=cursor, **options)
        found += [each.message.id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


async def test_listing_shows_each_message_once_while_others_change(
    made: Callable[[], RedisDriver],
) -> None:
    driver, busy = made(), made()
    await driver.open()
    await busy.open()
    stays = messages(3000, priority=1)
    moving = True

    async def come_and_go() -> None:
        while moving:
            await busy.enqueue(messages(50, priority=9))
            got = await busy.reserve({"q": 50}, limit=50, owner="one", lease=LEASE)
            await busy.settle([Complete(each.lease) for each in got])

    try:
        await driver.enqueue(stays)
        other = asyncio.create_task(come_and_go())
        found = await listed(driver, State.READY, limit=200)
        moving = False
        await other
        staying = {each.id for each in stays}
        assert [one for one in found if one in staying] == [each.id for each in stays]
    finally:
        moving = False
        await driver.close()
        await busy.close()


async def test_nothing_is_published_without_waiters(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver, waiter = made(), made()
    await driver.open()
    await waiter.open()

    async def run_one() -> None:
        await driver.enqueue(messages(1))
        [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        await driver.settle([Complete(got.lease, b"result")])

    try:
        with calls(counted) as asked:
            await run_one()
        assert not asked["publish"]
        waits_for_work = asyncio.create_task(waiter.wait(["q"], timeout=PATIENCE))
        waits_for_others = asyncio.create_task(waiter.wait_results([new_id()], timeout=PATIENCE))
        with counted.client() as client:
            async with asyncio.timeout(PATIENCE):
                while not _is_awaited(client, driver.settings.namespace):
                    await asyncio.sleep(0.01)
        with calls(counted) as asked:
            await run_one()
            await run_one()
        assert asked["publish"] == 1
        await waits_for_work
        waits_for_others.cancel()
        await asyncio.gather(waits_for_others, return_exceptions=True)
    finally:
        await driver.close()
        await waiter.close()


async def test_outcome_costs_the_same_however_many_are_awaited(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    driver.listener_timing = ListenerTiming(poll=PATIENCE)  # only a push wakes
    async with App({"driver": driver}) as app:
        handles = await app.dispatch_many([double(number) for number in range(2 * BOUND)])
        ids = [id_from_text(handle) for handle in handles]
        own: Any = await app.driver()
        watcher = ResultWatcher(own, WatchTiming(poll=NEVER, check=NEVER, phase=0.0))
        awaiting = [asyncio.create_task(watcher.outcome(each, None)) for each in ids]
        with counted.client() as client:
            await _until_awaited(client, driver, ids)
        [got] = await own.reserve({"default": 1}, limit=1, owner="one", lease=LEASE)
        with calls(counted) as asked:
            await own.settle([Complete(got.lease, b"result")])
            async with asyncio.timeout(PATIENCE):
                assert (await awaiting[0]).result == b"result"
            late = id_from_text(await double(1).dispatch())
            awaiting.append(asyncio.create_task(watcher.outcome(late, None)))
            with counted.client() as client:
                await _until_awaited(client, driver, [late, *ids[1:]])
        del asked["exists"]  # ours
        assert asked.total() < BOUND, asked
        for each in awaiting:
            each.cancel()
        await asyncio.gather(*awaiting, return_exceptions=True)
        await watcher.close()


async def test_known_does_not_load_bodies(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    async with App({"driver": driver}) as app:
        handles = await app.dispatch_many([double(number) for number in range(10)])
        awaiting = [asyncio.create_task(handle.result()) for handle in handles]
        with calls(counted) as asked, pytest.raises(ResultUnknown):
            await app.handle(id_to_text(new_id())).result(timeout=PATIENCE)
        assert not asked["get"], asked
        for each in awaiting:
            each.cancel()
        await asyncio.gather(*awaiting, return_exceptions=True)


async def test_known_agrees_with_find(made: Callable[[], RedisDriver]) -> None:
    driver = made()
    await driver.open()
    try:
        sent = messages(4)
        await driver.enqueue(sent)
        got = await driver.reserve({"q": 3}, limit=3, owner="one", lease=LEASE)
        await driver.settle([Complete(got[0].lease, b"result"), Fail(got[1].lease, Reason.FAILED)])
        ids = [*(each.id for each in sent), new_id()]
        found = [snapshot is not None for snapshot in await driver.find(ids)]
        assert await driver.known(ids) == found == [False, True, True, True, False]
    finally:
        await driver.close()


async def test_concurrent_waiters_for_outcomes_share_a_look(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver = made()
    driver.listener_timing = ListenerTiming(poll=PATIENCE)  # only a push wakes
    await driver.open()
    try:
        await driver.enqueue(messages(1))
        await driver.wait_results([new_id()], timeout=0.0)  # the listener is connected
        [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        ids = [*(new_id() for _ in range(99)), got.message.id]
        with calls(counted) as asked, counted.client() as client:
            waiting = [
                asyncio.create_task(driver.wait_results([each], timeout=PATIENCE)) for each in ids
            ]
            while not driver._listening()._looking.locked():
                await asyncio.sleep(0)
            waiting[0].cancel()  # the one who looks
            await _until_awaited(client, driver, ids)
        assert asked["evalsha"] <= 3, asked
        await driver.settle([Complete(got.lease, b"result")])
        async with asyncio.timeout(PATIENCE):
            await waiting[-1]
        assert not any(each.done() for each in waiting[1:-1])
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        await driver.close()


async def _until_awaited(client: "redis.Redis", driver: RedisDriver, ids: Sequence[bytes]) -> None:
    """Wait until each message has a waiter to notify."""
    keys = [f"{{{driver.settings.namespace}}}:2:w:".encode() + each for each in ids]
    async with asyncio.timeout(PATIENCE):
        while client.exists(*keys) < len(keys):
            await asyncio.sleep(0.01)


def _is_awaited(client: "redis.Redis", namespace: str) -> bool:
    keys = [f"{{{namespace}}}:2:{name}" for name in ("i:q", "awaited")]
    return client.exists(*keys) == len(keys)


async def test_entries_of_waiters_that_have_gone_are_removed_and_block_no_notification(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    driver, waiter = made(), made()
    waiter.listener_timing = ListenerTiming(poll=PATIENCE)  # only a push wakes
    await driver.open()
    await waiter.open()
    key = f"{{{driver.settings.namespace}}}:2:i:q"
    try:
        with counted.client() as client:
            seconds: Any = client.time()[0]
            client.zadd(key, {"long gone": (seconds - 10) * 1e6, "just gone": seconds * 1e6 * 2})
            for simple in ({}, {"expires": 100.0}):
                client.zadd(key, {"just gone": seconds * 1e6 * 2})
                waiting = asyncio.create_task(waiter.wait(["q"], timeout=PATIENCE))
                async with asyncio.timeout(PATIENCE):
                    while client.zcard(key) != 2 or client.zscore(key, "long gone"):
                        await asyncio.sleep(0.01)
                    await driver.enqueue(messages(1, **simple))
                    await waiting
                    await driver.purge("q", states={State.READY})
            assert not client.exists(key)
    finally:
        await driver.close()
        await waiter.close()


async def test_concurrent_dispatches_share_calls(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    async with App({"driver": made()}) as app:
        await app.dispatch(double(0))
        with calls(counted) as asked:
            await asyncio.gather(*(app.dispatch(double(number)) for number in range(100)))
        assert asked["evalsha"] + asked["eval"] <= 3, asked  # the first may have to load a script


async def test_many_messages_are_dispatched_in_chunks_with_progress(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    told: list[int] = []
    async with App({"driver": made()}) as app:
        with calls(counted) as asked:
            await app.dispatch_many(map(double, range(2500)), on_progress=told.append)
        assert told == [1000, 2000, 2500]
        assert asked["evalsha"] <= 3 + 3
        driver: Any = await app.driver()
        assert (await driver.count("default")).ready == 2500


async def test_tasks_use_no_command_that_searches_and_leave_no_list(
    counted: RedisServer, made: Callable[[], RedisDriver]
) -> None:
    with calls(counted) as asked:
        async with App({"driver": made()}) as app:
            worker = Worker(app=app, handle_signals=False)
            running = asyncio.create_task(worker.start())
            handles = await app.dispatch_many([double(number) for number in range(300)])
            later = await app.dispatch(double(1).delay(0.05))
            results = await asyncio.gather(*(each.result(timeout=PATIENCE) for each in handles))
            assert results == [2 * number for number in range(300)]
            assert await later.result(timeout=PATIENCE) == 2
            driver: Any = await app.driver()
            await driver.queues()
            for state in State:
                await driver.browse(state)
            worker.stop()
            async with asyncio.timeout(PATIENCE):
                await running
    assert asked["evalsha"]
    assert not {*asked} & (THROUGH_EVERYTHING | GROWING)
    assert asked["scan"] <= asked["evalsha"], "the sweep looks at a piece of the keys at a time"


async def test_ten_thousand_messages_travel_at_once(made: Callable[[], RedisDriver]) -> None:
    driver = made()
    await driver.open()
    try:
        sent = messages(10_000)
        assert all(each.created for each in await driver.enqueue(sent))
        got = await driver.reserve({"q": 10_000}, limit=10_000, owner="one", lease=LEASE)
        assert [each.message for each in got] == sent
        await driver.settle([Fail(each.lease, Reason.FAILED, None) for each in got[:10]])
        await driver.settle([Complete(each.lease, b"r") for each in got[10:]])
        outcomes = await driver.results([each.id for each in sent])
        assert sum(outcome is not None and outcome.result == b"r" for outcome in outcomes) == 9990
    finally:
        await driver.close()
