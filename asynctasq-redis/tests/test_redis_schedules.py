"""Schedules on Redis: scripts that fail half-way, damaged keys, full servers, and what calls cost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from asynctasq.contracts.capabilities.schedules import Firing, Schedule, ScheduleChange
from asynctasq.errors import DriverError
from asynctasq.message import Message, OnConflict, ScheduledRun, Unique, new_id
from asynctasq.settlement import Complete
from asynctasq_redis import RedisDriver
from tests.servers.redis import RedisServer, redis_server
from tests.servers.redis_faults import Faults

DUE = 1_000_000_000.0
LATER = 4_000_000_000.0
STEPS = 200
"""More commands than any script here calls."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a server that may be full for a while."""
    with redis_server(tmp_path_factory.mktemp("schedules")) as found:
        yield found


@pytest.fixture
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as made:
        made.flushall()
        yield made


@pytest.fixture
async def driver(server: RedisServer, client: "redis.Redis") -> AsyncIterator[RedisDriver]:
    made = RedisDriver(server.url, namespace=f"schedules-{uuid4().hex}")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    monkeypatch.setattr("asynctasq_redis.server.script", found.script)
    return found


def key_of(driver: RedisDriver, name: str) -> str:
    return f"{{{driver.settings.namespace}}}:2:{name}"


def schedule(name: str, next_at: float | None = DUE, **fields: Any) -> Schedule:
    return Schedule(name, fields.pop("definition", b"definition"), next_at, "every 60", **fields)


def message(**fields: Any) -> Message:
    run = ScheduledRun("nightly", DUE)
    return Message(new_id(), "emails", "app.send", b"", schedule=run, **fields)


def firing(name: str, *messages: Message, next_at: float | None = LATER) -> Firing:
    return Firing(name, 1, DUE, next_at, messages)


async def delivered(driver: RedisDriver) -> list[bytes]:
    deliveries = await driver.reserve({"emails": 1000}, limit=1000, owner="w", lease=60.0)
    await driver.settle([Complete(each.lease) for each in deliveries])
    return [each.message.id for each in deliveries]


async def claimed(driver: RedisDriver) -> list[str]:
    claim = await driver.claim_schedules(limit=100, hold=60.0)
    return [each.id for each in claim.schedules]


async def find(driver: RedisDriver, name: str) -> Schedule | None:
    return (await driver.find_schedules([name]))[0]


async def fails(faults: Faults, name: str, at: int, call: Callable[[], Awaitable[Any]]) -> bool:
    """Make a script fail at its k-th command; return False if it has fewer."""
    faults.name, faults.at, faults.lasting = name, at, at % 2 == 0
    try:
        await call()
    except DriverError as error:
        if "injected" not in str(error):
            raise
        return True
    finally:
        faults.name = None
    return False


# Scripts that fail half-way.


@pytest.mark.parametrize("repeated", [True, False], ids=["repeated", "given up"])
async def test_firing_that_fails_at_any_command_loses_and_doubles_nothing(
    driver: RedisDriver, faults: Faults, client: "redis.Redis", repeated: bool
) -> None:
    """Without a repetition, another claim fires the time, with the same messages. An enqueue that fails may leave
    the message that it replaces, as always.
    """
    at = 0
    for at in range(1, STEPS):
        client.flushall()
        driver.clock_offset = 0.0
        await driver.put_schedules([schedule("one"), schedule("last"), schedule("wrong")])
        holder = message(unique=Unique("key"), delay=50.0)
        await driver.enqueue([holder])
        assert await claimed(driver) == ["last", "one", "wrong"]
        new = message(unique=Unique("key", on_conflict=OnConflict.REPLACE))
        firings = [
            firing("one", message(), new),
            Firing("wrong", 2, DUE, LATER, (message(),)),
            firing("last", message(delay=1.0), next_at=None),
        ]
        expected = {new.id, *(each.messages[0].id for each in firings[::2])}

        def fire(firings: list[Firing] = firings) -> Awaitable[list[bool]]:
            return driver.fire(firings)

        went_on = await fails(faults, "fire", at, fire)
        driver.clock_offset += 0.0 if repeated else 61.0
        if not repeated:
            again = [name for name in await claimed(driver) if name != "wrong"]
            firings = [each for each in firings if each.id in again]
        if repeated or went_on:
            await driver.fire(firings)
        assert await driver.fire(firings) == [False] * len(firings), f"command {at}"
        driver.clock_offset += 2.0
        got = await delivered(driver)
        assert len(got) == len(set(got)), f"command {at}"
        assert set(got) - {holder.id} == expected, f"command {at}"
        one, last = await driver.find_schedules(["one", "last"])
        assert one is not None, f"command {at}"
        assert last is not None, f"command {at}"
        assert (one.next_at, last.next_at) == (LATER, None), f"command {at}"
        driver.clock_offset += 86_500.0
        assert await claimed(driver) == ["wrong"], f"command {at}"
        assert await find(driver, "last") is None, f"command {at}"
        if not went_on:
            break
    assert at > 15


@pytest.mark.parametrize("repeated", [True, False], ids=["repeated", "given up"])
async def test_put_that_fails_at_any_command_is_done_by_a_repetition(
    driver: RedisDriver, faults: Faults, client: "redis.Redis", repeated: bool
) -> None:
    at = 0
    for at in range(1, STEPS):
        client.flushall()
        driver.clock_offset = 0.0
        await driver.put_schedules([schedule("sooner", LATER), schedule("later")])
        assert await claimed(driver) == ["later"]
        given = [
            schedule("new"),
            Schedule("sooner", b"another", DUE, "another"),
            Schedule("later", b"another", LATER, "another"),
        ]

        def put(given: list[Schedule] = given) -> Awaitable[list[int]]:
            return driver.put_schedules(given)

        went_on = await fails(faults, "put_schedules", at, put)
        if repeated:
            assert await driver.put_schedules(given) == [1, 2, 2], f"command {at}"
        stored = {each.id: each for each in (await driver.schedules()).items}
        driver.clock_offset = 61.0
        due = {each.id for each in stored.values() if each.next_at == DUE}
        assert set(await claimed(driver)) == due, f"command {at}"
        assert due == {"new", "sooner"} or not repeated, f"command {at}"
        driver.clock_offset = LATER
        rest = set(stored)
        assert set(await claimed(driver)) == rest, f"command {at}"
        await driver.change_schedules(list(stored), ScheduleChange.REMOVE)
        await claimed(driver)
        assert not client.exists(key_of(driver, "at")), f"command {at}"
        if not went_on:
            break
    assert at > 10


@pytest.mark.parametrize("change", ScheduleChange)
async def test_change_that_fails_at_any_command_is_done_by_a_repetition(
    driver: RedisDriver, faults: Faults, client: "redis.Redis", change: ScheduleChange
) -> None:
    at = 0
    before = {
        ScheduleChange.RESUME: ScheduleChange.PAUSE,
        ScheduleChange.SEEN: ScheduleChange.ORPHAN,
    }
    for at in range(1, STEPS):
        client.flushall()
        driver.clock_offset = -90_000.0
        await driver.put_schedules([schedule("one", declared_by="shop"), schedule("other")])
        driver.clock_offset = 0.0
        if change in before:
            assert await driver.change_schedules(["one"], before[change]) == [True]
        went_on = await fails(
            faults, "change_schedules", at, lambda: driver.change_schedules(["one"], change)
        )
        answers = await driver.change_schedules(["one"], change)
        is_gone = change is ScheduleChange.REMOVE and not went_on
        assert answers == [not is_gone], f"command {at}"
        expected = ["one", "other"] if change in before else ["other"]
        assert await claimed(driver) == expected, f"command {at}"
        listed = [each.id for each in (await driver.schedules()).items]
        assert listed == (["other"] if change is ScheduleChange.REMOVE else ["one", "other"])
        assert client.zcard(key_of(driver, "an")) == len(listed), f"command {at}"
        if not went_on:
            break
    assert at > 5


async def test_claim_that_fails_at_any_command_hides_schedules_at_most(
    driver: RedisDriver, faults: Faults, client: "redis.Redis"
) -> None:
    at = 0
    for at in range(1, STEPS):
        client.flushall()
        driver.clock_offset = 0.0
        await driver.put_schedules([schedule("done"), schedule("one"), schedule("paused")])
        await driver.fire([firing("done", next_at=None)])
        client.zadd(key_of(driver, "at"), {"gone": 1.0, "paused": 1.0})
        await driver.change_schedules(["paused"], ScheduleChange.PAUSE)
        client.zadd(key_of(driver, "at"), {"gone": 1.0, "paused": 1.0})
        driver.clock_offset = 90_000.0
        went_on = await fails(faults, "claim_schedules", at, lambda: claimed(driver))
        driver.clock_offset += 61.0
        assert await claimed(driver) == ["one"], f"command {at}"
        assert client.zrange(key_of(driver, "at"), 0, -1) == [b"one"], f"command {at}"
        assert client.zrange(key_of(driver, "an"), 0, -1) == [b"one", b"paused"], f"command {at}"
        if not went_on:
            break
    assert at > 10


# Damaged keys, and full servers.


STATES = [b"", b"x", b"\xff" * 37, bytes(37), b"\x00\x00\x00\x01\x04" + b"\x7f\xf8" * 16]


@pytest.mark.parametrize("field", ["s", "d", "r", "b"])
async def test_a_damaged_schedule_costs_only_itself(
    driver: RedisDriver, client: "redis.Redis", field: str
) -> None:
    names = ["a", "bad", "z"]
    for value in [None, *STATES]:
        await driver.put_schedules([schedule(name, declared_by="shop") for name in names])
        if value is None:
            client.hdel(key_of(driver, "a:bad"), field)
        else:
            client.hset(key_of(driver, "a:bad"), field, value)
        assert [name for name in await claimed(driver) if name != "bad"] == ["a", "z"], value
        answers = await driver.fire([firing(name, message()) for name in names])
        assert (answers[0], answers[2]) == (True, True), value
        assert [each.id for each in (await driver.schedules()).items] == names, value
        for change in (ScheduleChange.SEEN, ScheduleChange.PAUSE, ScheduleChange.RESUME):
            assert await driver.change_schedules(names, change) == [True] * 3, value
        await driver.put_schedules([schedule("bad", LATER, definition=b"again")])
        again = await find(driver, "bad")
        assert again is not None, value
        assert (again.definition, again.paused) == (b"again", False), value
        assert all(await driver.change_schedules(names, ScheduleChange.REMOVE)), value


@pytest.mark.parametrize("name", ["a:bad", "at", "an"])
async def test_a_key_of_a_wrong_type_is_replaced(
    driver: RedisDriver, client: "redis.Redis", name: str
) -> None:
    await driver.put_schedules([schedule("good"), schedule("bad")])
    client.delete(key_of(driver, name))
    client.set(key_of(driver, name), "damaged")
    await claimed(driver)
    await driver.schedules()
    assert await driver.put_schedules([schedule("good"), schedule("bad")]) == [1, 1]
    driver.clock_offset += 61.0
    assert await claimed(driver) == ["bad", "good"]
    assert len((await driver.schedules()).items) == 2


@pytest.mark.parametrize("damage", ["removed", "never due"])
async def test_a_sweep_adds_entries_that_a_manual_change_has_removed(
    driver: RedisDriver, client: "redis.Redis", damage: str
) -> None:
    await driver.put_schedules([schedule("one"), schedule("paused")])
    await driver.change_schedules(["paused"], ScheduleChange.PAUSE)
    client.delete(key_of(driver, "an"))
    if damage == "removed":
        client.delete(key_of(driver, "at"))
    else:
        client.zadd(key_of(driver, "at"), {"one": float("inf"), "gone": float("inf")})
    while client.zcard(key_of(driver, "an")) < 2 or client.zcard(key_of(driver, "at")) != 1:
        driver.clock_offset += 10.0
        await delivered(driver)
    assert await claimed(driver) == ["one"]
    assert [each.id for each in (await driver.schedules()).items] == ["one", "paused"]


async def test_a_full_server_refuses_firings_as_a_whole_and_takes_changes(
    driver: RedisDriver, client: "redis.Redis"
) -> None:
    await driver.put_schedules([schedule("one"), schedule("other")])
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(DriverError, match="maxmemory"):
            await driver.fire([firing("one", message()), firing("other")])
        with pytest.raises(DriverError, match="maxmemory"):
            await driver.put_schedules([schedule("new")])
        assert await driver.change_schedules(["other"], ScheduleChange.PAUSE) == [True]
    finally:
        client.config_set("maxmemory", 0)
    assert await delivered(driver) == []
    assert await find(driver, "new") is None
    assert await claimed(driver) == ["one"]
    assert await driver.fire([firing("one", message()), firing("other")]) == [True, False]


# Calls.


async def test_firings_that_do_not_fire_leave_their_messages_out(driver: RedisDriver) -> None:
    """Runs of messages of several kinds are cut at any place."""
    names = [f"schedule {number:03}" for number in range(60)]
    await driver.put_schedules([schedule(name) for name in names])
    kinds: list[dict[str, Any]] = [{}, {"priority": 9}, {"delay": 5.0}, {}]
    firings = []
    for number, name in enumerate(names):
        messages = [message(**kinds[(number // 7 + k) % 4]) for k in range(number % 4)]
        if number % 5 == 0:
            messages.append(message(unique=Unique(name)))
        firings.append(Firing(name, 1 if number % 3 else 7, DUE, LATER, tuple(messages)))
    answers = await driver.fire([*firings, *firings])
    assert answers == [number % 3 != 0 for number in range(60)] + [False] * 60
    driver.clock_offset += 10.0
    expected = [each.id for f in firings if f.revision == 1 for each in f.messages]
    assert sorted(await delivered(driver)) == sorted(expected)


async def test_a_time_that_follows_in_the_same_call_fires(driver: RedisDriver) -> None:
    await driver.put_schedules([schedule("one")])
    first, second = message(), message()
    following = Firing("one", 1, DUE + 60.0, None, (second,))
    assert await driver.fire([firing("one", first, next_at=DUE + 60.0), following]) == [True, True]
    assert sorted(await delivered(driver)) == sorted([first.id, second.id])


async def test_schedules_keep_their_order_when_a_claim_ends(driver: RedisDriver) -> None:
    names = [f"schedule {number}" for number in (5, 2, 8, 1, 9, 3)]
    given = [schedule(name, DUE + place) for place, name in enumerate(names)]
    await driver.put_schedules(given)
    for _ in range(3):
        assert await claimed(driver) == names
        driver.clock_offset += 61.0


async def test_a_firing_wakes_a_worker_that_waits(driver: RedisDriver, client: Any) -> None:
    await driver.put_schedules([schedule("one")])
    waiting = asyncio.create_task(driver.wait(["emails"], timeout=30.0))
    while not client.exists(key_of(driver, "i:emails")):
        await asyncio.sleep(0)
    await driver.fire([firing("one", message())])
    async with asyncio.timeout(10.0):
        await waiting


@pytest.mark.parametrize("next_at", [1e300, -1e300, 0.1 + 0.2, -0.0, 1e10 / 3, 5e-324])
async def test_times_are_kept_exactly(driver: RedisDriver, next_at: float) -> None:
    await driver.put_schedules([schedule("one", next_at)])
    found = await find(driver, "one")
    assert found is not None
    assert found.next_at == next_at
    answers = await driver.fire([Firing("one", 1, next_at, 1e300, (message(),))])
    assert answers == [True]
    assert (await driver.claim_schedules(limit=9, hold=1.0)).schedules == []


async def test_a_page_of_large_schedules_is_bounded(driver: RedisDriver) -> None:
    definition = bytes(65_536)
    names = [f"schedule {number:03}" for number in range(200)]
    for name in names:
        await driver.put_schedules([Schedule(name, definition, DUE)])
    page = await driver.schedules(limit=200)
    assert 100 < len(page.items) < 140
    rest = await driver.schedules(limit=200, cursor=page.cursor)
    assert [each.id for each in [*page.items, *rest.items]] == names
    first = await driver.claim_schedules(limit=100, hold=60.0)
    assert len(first.schedules) == 100


def commands(client: "redis.Redis") -> int:
    return sum(each["calls"] for each in client.info("commandstats").values())


async def test_cost_of_a_call_is_the_same_however_many_schedules_there_are(
    driver: RedisDriver, client: "redis.Redis"
) -> None:
    async def costs(prefix: str) -> dict[str, int]:
        names = [f"{prefix} {number}" for number in range(20)]
        await driver.put_schedules([schedule(name) for name in names])
        found = {}
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "claim": lambda: claimed(driver),
            "idle": lambda: claimed(driver),
            "fire": lambda: driver.fire([firing(name, message()) for name in names]),
            "list": lambda: driver.schedules(limit=10),
            "find": lambda: driver.find_schedules(names),
            "pause": lambda: driver.change_schedules(names, ScheduleChange.PAUSE),
        }
        for name, call in calls.items():
            before = commands(client)
            await call()
            found[name] = commands(client) - before
        return found

    await costs("first")  # the scripts are sent
    few = await costs("second")
    await driver.put_schedules([schedule(f"more {number}", LATER) for number in range(3000)])
    assert await costs("third") == few
    assert few["idle"] < 10
