"""Servers that refuse commands for a while: full, busy, a replica, crowded, or not allowed."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis import exceptions as client_errors

from asynctasq import App, Worker, task
from asynctasq.contracts.capabilities import CancelOutcome, WorkerInfo
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, Unique, new_id
from asynctasq.settlement import Complete, Settled, Settlement
from asynctasq_redis import RedisDriver
from asynctasq_redis.codec import BODY_LIMIT
from asynctasq_redis.errors import translated
from tests.drivers.opening import message, opened
from tests.servers.processes import free_port
from tests.servers.redis import RedisServer, redis_server

PATIENCE = 30.0
LEASE = 60.0


@task(name="redis_refusals.double")
async def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


class Gate:
    """A gate at which tasks wait until the test opens it."""

    def clear(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0


gate = Gate()


@task(name="redis_refusals.behind_gate")
async def behind_gate(number: int) -> int:
    """Wait until the gate opens."""
    gate.waiting += 1
    await gate.open.wait()
    return number


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server whose settings tests change; each test restores them."""
    with redis_server(tmp_path_factory.mktemp("refusing")) as found:
        yield found


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    """Yield a client of that server."""
    with server.client() as made:
        yield made


@pytest.fixture
def driver(server: RedisServer) -> RedisDriver:
    """Return an unopened driver in a new namespace."""
    return RedisDriver(server.url, namespace=uuid4().hex)


async def until(call: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat a call while the store is unavailable, as core does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(DriverUnavailable):
                return await call()
            await asyncio.sleep(0.02)


# Full.


async def test_full_server_refuses_dispatches_and_workers_continue(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    async with App({"driver": driver}) as app:
        handles = await app.dispatch_many([double(number) for number in range(50)])
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(DriverError, match=r"maxmemory.*Accepted messages are not lost"):
                await app.dispatch(double(50))
            worker = Worker(app=app, handle_signals=False)
            running = asyncio.create_task(worker.start())
            results = await asyncio.gather(*(each.result(timeout=PATIENCE) for each in handles))
            assert results == [2 * number for number in range(50)]
        finally:
            client.config_set("maxmemory", 0)
        later = await app.dispatch(double(50))
        assert await later.result(timeout=PATIENCE) == 100
        worker.stop()
        await running


async def test_operators_and_lease_renewers_work_on_a_full_server(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    async with opened(driver):
        sent = [message(), message(), message()]
        await driver.enqueue(sent)
        [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        client.config_set("maxmemory", 1)
        try:
            await driver.wait(["other"], timeout=0.0)
            await driver.wait_results([sent[0].id], timeout=0.0)
            await driver.set_progress([(got.lease, b"half")])
            assert await driver.progress([sent[0].id]) == [b"half"]
            await driver.record_worker(WorkerInfo("w", "h", 1, 0.0, ("q",), 1, 0, "1"), ttl=9.0)
            assert await driver.cancel([sent[0].id, sent[1].id]) == [
                CancelOutcome.REQUESTED,
                CancelOutcome.CANCELLED,
            ]
            await driver.pause("q")
            assert await driver.paused() == {"q"}
            await driver.resume("q")
            [last] = await driver.reserve({"q": 9}, limit=9, owner="one", lease=LEASE)
            assert last.message == sent[2]
            await driver.settle([Complete(got.lease, b"r"), Complete(last.lease, b"r")])
        finally:
            client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("policy", "what"),
    [("allkeys-lru", "deletes messages"), ("volatile-ttl", "evicts results")],
)
async def test_evicting_server_causes_a_warning(
    client: "redis.Redis",
    driver: RedisDriver,
    policy: str,
    what: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.config_set("maxmemory-policy", policy)
    try:
        with caplog.at_level(logging.WARNING, "asynctasq.redis"):
            async with opened(driver):
                pass
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    [warning] = caplog.messages
    assert policy in warning
    assert what in warning
    assert "to noeviction" in warning


async def test_unique_key_of_an_evicted_message_is_free(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    async with opened(driver):
        first = message(unique=Unique("key"))
        await driver.enqueue([first])
        client.delete(f"{{{driver.settings.namespace}}}:2:m:".encode() + first.id)
        [answer] = await driver.enqueue([message(unique=Unique("key"))])
        assert answer.created
        [got] = await driver.reserve({"q": 9}, limit=9, owner="one", lease=LEASE)
        assert got.message.id == answer.id


# For a while.


async def test_calls_wait_while_a_script_of_another_client_blocks_the_server(
    client: "redis.Redis", server: RedisServer, driver: RedisDriver
) -> None:
    client.config_set("lua-time-limit", 10)

    def hang() -> None:
        with server.client() as other, pytest.raises(client_errors.ResponseError, match="killed"):
            other.eval("while true do end", 0)

    async with opened(driver):
        await driver.enqueue([message()])
        hanging = threading.Thread(target=hang)
        hanging.start()
        try:
            with pytest.raises(DriverUnavailable, match="BUSY"):
                await _count_for_ever(driver)  # it takes a moment to begin
            with pytest.raises(DriverUnavailable, match="BUSY"):
                await driver.clone().open()
        finally:
            with suppress(redis.RedisError):
                client.script_kill()
            await asyncio.to_thread(hanging.join)
        assert (await until(lambda: driver.count("q"))).ready == 1


async def _count_for_ever(driver: RedisDriver) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await driver.count("q")


async def test_calls_wait_for_a_primary_that_becomes_a_replica(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    async with opened(driver):
        await driver.enqueue([message()])
        client.replicaof("127.0.0.1", str(free_port()))
        try:
            with pytest.raises(DriverUnavailable, match="is a replica"):
                await driver.enqueue([message()])
            with pytest.raises(DriverUnavailable):
                await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        finally:
            client.replicaof("NO", "ONE")
        [answer] = await until(lambda: driver.enqueue([message()]))
        assert answer.created


async def test_calls_wait_for_a_primary_without_its_replicas(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    async with opened(driver):
        client.config_set("min-replicas-to-write", 1)
        try:
            for sent in (message(), message(delay=1.0)):
                with pytest.raises(DriverUnavailable, match="NOREPLICAS"):
                    await driver.enqueue([sent])
        finally:
            client.config_set("min-replicas-to-write", 0)
        await driver.enqueue([message()])


async def test_calls_wait_for_a_server_with_too_many_clients(
    client: "redis.Redis", server: RedisServer, driver: RedisDriver
) -> None:
    client.ping()
    most: Any = client.config_get("maxclients")
    clients: Any = client.info("clients")
    client.config_set("maxclients", clients["connected_clients"])
    try:
        with pytest.raises(DriverUnavailable, match="max number of clients"):
            await driver.open()
    finally:
        client.config_set("maxclients", most["maxclients"])
    await until(driver.open)
    await driver.close()


async def test_flushed_scripts_are_loaded_again(client: "redis.Redis", driver: RedisDriver) -> None:
    flushing = True

    def flush() -> None:
        while flushing:
            client.script_flush()

    async with App({"driver": driver}) as app:
        worker = Worker(app=app, handle_signals=False)
        running = asyncio.create_task(worker.start())
        other = threading.Thread(target=flush)
        other.start()
        try:
            handles = await asyncio.gather(*(app.dispatch(double(n)) for n in range(200)))
            results = await asyncio.gather(*(each.result(timeout=PATIENCE) for each in handles))
            assert results == [2 * number for number in range(200)]
        finally:
            flushing = False
            await asyncio.to_thread(other.join)
            worker.stop()
            await running


@pytest.mark.parametrize(
    "text",
    [
        # Redis 6.2 hides the code of what a script calls in its message.
        "Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You can't write",
        "Error running script (call to f_1): @user_script:9: Script killed by user with SCRIPT KILL...",
        "Script killed by user with SCRIPT KILL. script: 1, on @user_script:9.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    ],
)
def test_temporary_errors_are_unavailable(text: str) -> None:
    error = translated(client_errors.ResponseError(text), "redis://here", adds=True)
    assert isinstance(error, DriverUnavailable)
    assert "redis://here" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "Error running script (call to f_1): @user_script:9: -OOM command not allowed",
    ],
)
def test_full_server_is_temporary_for_workers_only(text: str) -> None:
    error = client_errors.ResponseError(text)
    assert isinstance(translated(error, "here", adds=False), DriverUnavailable)
    assert not isinstance(translated(error, "here", adds=True), DriverUnavailable)


# For good.


async def test_missing_database_is_a_clear_error(server: RedisServer) -> None:
    with pytest.raises(DriverError, match=r"DB index is out of range|invalid DB index"):
        await RedisDriver(server.url, db=10_000).open()


async def test_too_large_body_is_refused_before_it_is_sent(
    driver: RedisDriver,
) -> None:
    async with opened(driver):
        with pytest.raises(DriverError, match="at most 500000000 bytes"):
            await driver.enqueue([Message(new_id(), "q", "t", bytes(BODY_LIMIT + 1))])
        await driver.enqueue([message()])
        [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        large = Complete(got.lease, bytes(BODY_LIMIT + 1))
        assert await driver.settle([large]) == [Settled.REFUSED]
        assert await driver.settle([Complete(got.lease)]) == [Settled.DONE]


async def test_large_bodies_and_results_are_split_into_calls(
    driver: RedisDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asynctasq_redis.settling.BYTES_SENT_AT_ONCE", 3_000_000)
    sizes = [2_000_000, 2_000_000, 1, 5_000_000, 1, 999_999, 1]
    async with opened(driver):
        sent = [Message(new_id(), "q", "task", b"b" * size) for size in sizes]
        await driver.enqueue(sent)
        got = []
        while some := await driver.reserve({"q": 9}, limit=9, owner="one", lease=LEASE):
            got += some
        assert [each.message for each in got] == sent
        endings = [Complete(each.lease, b"r" * len(each.message.body)) for each in got]
        assert await driver.settle(endings) == [Settled.DONE] * len(sizes)
        outcomes = await driver.results([each.id for each in sent])
        assert [len(each.result or b"") for each in outcomes if each] == sizes


async def test_lease_that_occurs_twice_in_a_batch_ends_once(driver: RedisDriver) -> None:
    async with opened(driver):
        await driver.enqueue([message(), message()])
        one, two = await driver.reserve({"q": 2}, limit=2, owner="one", lease=LEASE)
        endings = [Complete(each.lease, b"r") for each in (one, two, one)]
        assert await driver.settle(endings) == [Settled.DONE, Settled.DONE, Settled.LOST]


class RefusalsCounted(RedisDriver):
    """A driver that counts the calls of `settle` that failed, those of its clones included."""

    failed = 0

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle, and count a failure."""
        try:
            return await super().settle(settlements)
        except DriverError:
            RefusalsCounted.failed += 1
            raise


def of_user(
    admin: Any,
    driver: RedisDriver,
    name: str,
    *channels: str,
    kind: type[RedisDriver] = RedisDriver,
) -> RedisDriver:
    """Return an unopened driver in the same namespace, for a user with these channels. The test deletes the user."""
    admin.execute_command(
        "ACL", "SETUSER", name, "reset", "on", ">secret", "~*", "+@all", *channels
    )
    settings = driver.settings
    return kind(settings.url, namespace=settings.namespace, username=name, password="secret")


async def test_user_who_may_not_publish_or_subscribe_is_warned(
    client: "redis.Redis", driver: RedisDriver, caplog: pytest.LogCaptureFixture
) -> None:
    deaf = of_user(client, driver, "deaf", "resetchannels")
    async with opened(driver), opened(deaf) as other:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=PATIENCE))
        async with asyncio.timeout(PATIENCE):
            while not client.exists(f"{{{driver.settings.namespace}}}:2:i:q"):
                await asyncio.sleep(0.01)
        assert (await other.enqueue([message()]))[0].created
        await waiting  # by looking
        with caplog.at_level(logging.WARNING, "asynctasq.redis"):
            await other.wait(["nothing"], timeout=0.05)
    assert "Redis user may not subscribe" in caplog.text
    client.acl_deluser("deaf")


async def test_outcomes_are_kept_while_the_user_may_not_settle(
    client: "redis.Redis", driver: RedisDriver
) -> None:
    admin: Any = client
    RefusalsCounted.failed = 0
    theirs = of_user(admin, driver, "shut-out", "&*", kind=RefusalsCounted)
    async with App({"driver": driver}) as app, App({"driver": theirs}) as of_worker:
        gate.clear()
        handles = await app.dispatch_many([behind_gate(number) for number in range(5)])
        worker = Worker(app=of_worker, handle_signals=False, concurrency=5)
        running = asyncio.create_task(worker.start())
        async with asyncio.timeout(PATIENCE):
            while gate.waiting < len(handles):
                await asyncio.sleep(0.01)
        admin.execute_command("ACL", "SETUSER", "shut-out", "resetpass", ">new")
        admin.client_kill_filter(user="shut-out")
        gate.open.set()
        async with asyncio.timeout(PATIENCE):
            while RefusalsCounted.failed == 0:
                await asyncio.sleep(0.01)
        admin.execute_command("ACL", "SETUSER", "shut-out", ">secret")
        results = await asyncio.gather(*(each.result(timeout=PATIENCE) for each in handles))
        worker.stop()
        await running
    assert results == list(range(5))
    assert gate.waiting == 5, "each ran once"
    client.acl_deluser("shut-out")


# Time.


async def test_clock_that_is_set_back_changes_no_order(driver: RedisDriver) -> None:
    """This happens after a failover to a machine whose clock is behind."""
    async with opened(driver):
        driver.clock_offset = 3600.0
        before = [message(), message(delay=10.0)]
        await driver.enqueue(before)
        [leased] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        driver.clock_offset = 0.0
        after = message()
        await driver.enqueue([after])
        [got] = await driver.reserve({"q": 9}, limit=9, owner="two", lease=LEASE)
        assert got.message == after
        assert await driver.settle([Complete(leased.lease), Complete(got.lease)]) == [
            Settled.DONE,
            Settled.DONE,
        ]
        driver.clock_offset = 3611.0
        [late] = await driver.reserve({"q": 9}, limit=9, owner="two", lease=LEASE)
        assert late.message == before[1]
