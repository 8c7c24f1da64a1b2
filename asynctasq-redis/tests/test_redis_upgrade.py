"""A namespace that revision 43cf731 wrote, with a message in every state, and the driver of this release."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from asynctasq.errors import DriverError
from asynctasq.message import Message, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason
from asynctasq_redis import RedisDriver
from asynctasq_redis.scripts import Script, script
from tests.drivers.opening import opened
from tests.servers.redis import RedisServer, redis_server

FIXTURE: dict[str, Any] = json.loads((Path(__file__).parent / "format_1.json").read_text())
"""Made by format_1.py."""
IDS: dict[str, bytes] = {name: bytes.fromhex(one) for name, one in FIXTURE["ids"].items()}
NAMES = {one: name for name, one in IDS.items()}
OLD = b"{asynctasq}:"
NEW = b"{asynctasq}:2:"
QUEUES = {"q": 100, "other": 100}
READY = {
    *("urgent", "leased", "ready", "ready_elsewhere", "large", "expiring"),
    *("unique_until_started", "unique_until_settled", "unique_for_a_period"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("upgrade")) as found:
        yield found


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as made:
        made.flushall()
        yield made


def restore(client: "redis.Redis", *, without: Callable[[bytes], bool] = lambda _: False) -> None:
    """Write the keys of the fixture."""
    for each in FIXTURE["keys"]:
        key = bytes.fromhex(each["key"])
        values: list[Any] = [bytes.fromhex(value) for value in each["values"]]
        if without(key):
            continue
        match each["kind"]:
            case "string":
                client.set(key, values[0])
            case "hash":
                client.hset(key, mapping=dict(zip(values[::2], values[1::2], strict=True)))
            case "set":
                client.sadd(key, *values)
            case _:
                scores = [float(score) for score in values[::2]]
                client.zadd(key, dict(zip(values[1::2], scores, strict=True)))
        if each["milliseconds"] > 0:
            client.pexpire(key, each["milliseconds"])


def driver_at(server: RedisServer, seconds: float, **settings: Any) -> RedisDriver:
    """Make a driver whose clock shows some seconds after the fixture was written."""
    driver = RedisDriver(server.url, **settings)
    driver.clock_offset = FIXTURE["written_at"] + seconds - time.time()
    return driver


def old_keys(client: "redis.Redis") -> set[bytes]:
    """Return the keys of format 1, without the mark of the format and outcomes that expire."""
    return {
        key.removeprefix(OLD)
        for key in client.scan_iter(match=OLD + b"*", count=1000)
        if not key.startswith(NEW) and key != OLD + b"format" and client.pttl(key) < 0
    }


async def listed(driver: RedisDriver, state: State) -> set[str]:
    page = await driver.browse(state)
    assert page.cursor is None
    return {NAMES[snapshot.message.id] for snapshot in page.items}


async def expect_everything(driver: RedisDriver, client: "redis.Redis") -> None:
    """Expect each message of the fixture in the state that it had."""
    assert await listed(driver, State.READY) == READY
    assert await listed(driver, State.SCHEDULED) == {"scheduled", "retried", "mismatched"}
    assert await listed(driver, State.RUNNING) == set()
    letters = (await driver.dead_letters()).items
    reasons = {NAMES[letter.message.id]: letter.reason for letter in letters}
    assert reasons == {"failed": Reason.FAILED, "lost": Reason.LOST}
    ended = ["completed", "completed_empty", "cancelled", "flagged"]
    outcomes = await driver.results([IDS[name] for name in ended])
    states = [outcome.state for outcome in outcomes if outcome is not None]
    assert states == [State.COMPLETED, State.COMPLETED, State.CANCELLED, State.CANCELLED]
    assert outcomes[0] is not None
    assert outcomes[0].result == b"result"
    [leased, retried] = await driver.find([IDS["leased"], IDS["retried"]])
    assert leased is not None
    assert leased.lost == 1
    assert retried is not None
    assert retried.attempt == 1
    assert retried.error is not None
    assert await driver.paused() == {"paused"}
    for snapshot in (await driver.browse(State.READY)).items:
        name = NAMES[snapshot.message.id]
        assert snapshot.message.task == f"task.{name}"
        assert snapshot.message.body == (bytes(20_000) if name == "large" else name.encode())
    keys = {key for key in old_keys(client) if not key.startswith((b"c:", b"o:", b"paused"))}
    assert keys == set()


async def expect_to_run(driver: RedisDriver, names: set[str]) -> None:
    """Expect that these messages are delivered, each once, and complete them."""
    got = await driver.reserve(QUEUES, limit=100, owner="one", lease=60.0)
    assert sorted(NAMES[each.message.id] for each in got) == sorted(names)
    assert all(each.lease.token > 2**32 for each in got if isinstance(each.lease.token, int)), (
        "tokens have 64 bits"
    )
    await driver.settle([Complete(each.lease, b"done", 3600.0) for each in got])


async def test_every_state_is_upgraded_when_a_driver_opens(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    async with opened(driver_at(server, 60.0)) as driver:
        await expect_everything(driver, client)
        assert client.get(OLD + b"format") == b"2"
        held = Message(new_id(), "q", "t", b"", unique=Unique("settled"))
        period = Message(
            new_id(), "q", "t", b"", unique=Unique("period", UniqueUntil.PERIOD, period=1.0)
        )
        answers = await driver.enqueue([held, period])
        assert [each.id for each in answers] == [
            IDS["unique_until_settled"],
            IDS["unique_for_a_period"],
        ]
        await expect_to_run(driver, READY)


async def test_processes_of_the_release_before_see_how_their_messages_end(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    async with opened(driver_at(server, 60.0)) as driver:
        await expect_to_run(driver, READY)
    value: Any = client.get(OLD + b"m:" + IDS["ready"])
    assert value[:2] == b"\x03\x01"
    assert value[18:] == b"done"
    assert client.pttl(OLD + b"m:" + IDS["ready"]) > 0
    assert client.get(OLD + b"m:" + IDS["completed"]) is not None


async def test_messages_that_living_workers_lease_stay_until_their_leases_end(
    server: RedisServer, client: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    restore(client)
    async with opened(driver_at(server, 1.0)) as driver:
        assert "Left 3 messages to workers of an earlier release" in caplog.text
        assert client.get(OLD + b"format") is None
        assert client.hlen(OLD + b"leases") == 3
        await expect_to_run(driver, READY - {"leased"})
        driver.clock_offset += 60.0
        for _ in range(10):
            driver.clock_offset += 1.1
            await driver.reserve({"nothing": 1}, limit=1, owner="sweeper", lease=60.0)
        await expect_to_run(driver, {"leased"})
    async with opened(driver_at(server, 120.0)):
        assert client.get(OLD + b"format") == b"2"


async def test_new_processes_know_messages_and_outcomes_of_workers_of_the_release_before(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    async with opened(driver_at(server, 1.0)) as driver:
        leased, ended = IDS["leased"], IDS["flagged"]
        assert await driver.known([leased]) == [True]
        repeated = Message(leased, "q", "t", b"")
        [alone] = await driver.enqueue([repeated])
        chunk = await driver.enqueue([Message(new_id(), "q", "t", b""), repeated])
        assert [each.created for each in (alone, *chunk)] == [False, True, False]
        assert client.rename(OLD + b"m:" + IDS["completed"], OLD + b"m:" + ended)
        assert await driver.known([ended]) == [False]
        await driver.wait_results([ended], timeout=30.0)
        [outcome, unknown] = await driver.results([ended, leased])
        assert outcome is not None
        assert outcome.result == b"result"
        assert unknown is None


async def test_messages_that_processes_of_the_release_before_await_stay_known_to_them(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    done, dead, other = IDS["ready"], IDS["urgent"], IDS["large"]
    for one in (done, dead):
        client.sadd(OLD + b"w:" + one, b"instance")
    for _ in range(2):
        async with opened(driver_at(server, 60.0)):
            assert client.get(OLD + b"format") == b"2"
        client.delete(OLD + b"format")
    first: Any = [client.getrange(OLD + b"m:" + one, 0, 0) for one in (done, dead, other)]
    assert first == [b"\x01", b"\x01", b""]
    async with opened(driver_at(server, 60.0)) as driver:
        got = await driver.reserve(QUEUES, limit=100, owner="one", lease=60.0)
        leases = {each.message.id: each.lease for each in got}
        error = ErrorInfo("builtins.ValueError", "no", "")
        await driver.settle([Complete(leases[done], b"result")])
        await driver.settle([Fail(leases[dead], Reason.FAILED, error)])
        value: Any = client.get(OLD + b"m:" + done)
        assert value[18:] == b"result"
        assert client.getrange(OLD + b"m:" + dead, 0, 0) == b"\x02"
        assert client.hget(OLD + b"x:" + dead, "r") == b"failed"
        assert await driver.delete_dead([dead]) == [True]
        assert not client.exists(OLD + b"m:" + dead, OLD + b"x:" + dead)
        assert await driver.known([dead]) == [False]


async def test_many_leases_of_living_workers_do_not_keep_others_from_moving(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    record: Any = client.hget(OLD + b"leases", IDS["leased"])
    value: Any = client.get(OLD + b"m:" + IDS["leased"])
    living = record.replace(b"\x00\x04gone", b"\x00\x04here")
    assert living != record
    ids = [new_id() for _ in range(400)]
    client.hset(OLD + b"leases", mapping=dict.fromkeys(ids, living))
    client.mset({OLD + b"m:" + one: value for one in ids})
    client.zadd(OLD + b"owners", {"here": (FIXTURE["written_at"] + 1e6) * 1e6})
    async with opened(driver_at(server, 1.0)) as driver:
        driver.clock_offset += 60.0
        for _ in range(1000):
            driver.clock_offset += 1.1
            await driver.reserve({"nothing": 1}, limit=1, owner="sweeper", lease=60.0)
            if client.hlen(OLD + b"leases") == len(ids):
                break
        assert client.hlen(OLD + b"leases") == len(ids)
        assert (await driver.find([IDS["leased"]]))[0] is not None


async def test_unique_keys_of_messages_of_the_release_before_are_held(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(driver_at(server, 60.0)) as driver:
        restore(client)
        names = ("settled", "period", "free")
        keys = [Message(new_id(), "q", "t", b"", unique=Unique(name)) for name in names]
        answers = await driver.enqueue(keys)
        assert [each.created for each in answers] == [False, False, True]
        assert [each.id for each in answers[:2]] == [
            IDS["unique_until_settled"],
            IDS["unique_for_a_period"],
        ]


async def test_workers_of_the_release_before_see_pauses(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    async with opened(driver_at(server, 60.0)) as driver:
        assert client.smembers(OLD + b"paused") == {b"paused"}
        await driver.resume("paused")
        assert not client.exists(OLD + b"paused")
        await driver.pause("new")
        assert not client.exists(OLD + b"paused")
        client.hset(OLD + b"queues", "q", 0)
        await driver.pause("q")
        assert client.smembers(OLD + b"paused") == {b"q"}
    async with opened(driver_at(server, 60.0)) as driver:
        assert await driver.paused() == {"new", "q"}


async def test_messages_that_are_added_after_the_upgrade_are_adopted_by_reserves(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(driver_at(server, 60.0)) as driver:
        assert client.get(OLD + b"format") == b"2"
        restore(client)
        await expect_to_run(driver, READY)
        for _ in range(10):
            driver.clock_offset += 1.1
            await driver.reserve({"nothing": 1}, limit=1, owner="sweeper", lease=60.0)
        assert await listed(driver, State.SCHEDULED) == {"scheduled", "retried", "mismatched"}
        assert {NAMES[each.message.id] for each in (await driver.dead_letters()).items} == {
            "failed",
            "lost",
        }
        assert not client.exists(OLD + b"queues", OLD + b"leases")


async def test_waiting_returns_for_a_message_that_an_old_process_adds(
    server: RedisServer, client: "redis.Redis"
) -> None:
    async with opened(driver_at(server, 60.0)) as driver:
        restore(client)
        start = time.monotonic()
        await driver.wait(["q"], timeout=30.0)
        assert time.monotonic() - start < 15.0


async def test_upgrade_that_is_cut_off_at_any_command_is_finished_by_the_next_one(
    server: RedisServer, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = {"at": 0}

    def failing(name: str) -> Script:
        plain = script(name)
        if name != "upgrade" or not faults["at"]:
            return plain
        counted = (
            "local calls, plain = 0, redis.call\n"
            "local function counted(...)\n"
            f"calls = calls + 1 if calls == {faults['at']} then error('injected') end\n"
            "return plain(...) end\n"
        )
        source = (counted + plain.source.decode().replace("redis.call", "counted")).encode()
        return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())

    monkeypatch.setattr("asynctasq_redis.server.script", failing)
    failed = 0
    for at in range(1, 1000, 7):
        faults["at"] = at
        client.flushall()
        restore(client)
        driver = driver_at(server, 60.0)
        with suppress(DriverError):
            await driver.open()
            await driver.close()
            break
        failed += 1
        faults["at"] = 0
        async with opened(driver_at(server, 60.0)) as driver:
            await expect_everything(driver, client)
            await expect_to_run(driver, READY)
    assert failed > 20


async def test_damaged_record_becomes_a_dead_letter(
    server: RedisServer, client: "redis.Redis"
) -> None:
    restore(client)
    client.set(OLD + b"m:" + IDS["ready"], b"\x01damaged")
    client.hset(OLD + b"leases", IDS["leased"], b"damaged")
    async with opened(driver_at(server, 60.0)) as driver:
        letters = {each.message.id: each for each in (await driver.dead_letters()).items}
        assert letters[IDS["ready"]].reason is Reason.UNDECODABLE
        assert letters[IDS["ready"]].message.body.endswith(b"damaged")
        await expect_to_run(driver, READY - {"ready"})


async def test_newer_format_is_refused_with_the_remedy(
    server: RedisServer, client: "redis.Redis"
) -> None:
    client.set(OLD + b"format", "3")
    with pytest.raises(DriverError, match=r"'asynctasq'.*got 3\. Upgrade asynctasq-redis"):
        await RedisDriver(server.url).open()


def test_fixture_holds_every_message() -> None:
    assert len(IDS) == 18
    assert all(UUID(bytes=one).version == 7 for one in IDS.values())
