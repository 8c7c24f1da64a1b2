"""Damaged contents of the store: a damaged record affects no other."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.message import Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, LeaseState, Reason, Release
from asynctasq_redis import RedisDriver
from tests.drivers.opening import message
from tests.servers.redis import RedisServer, redis_server

pytestmark = pytest.mark.sampled(2)

PREFIX = b"{asynctasq}:2:"
QUEUES = {"q": 100}
MOMENT = 0.000_002
WRONG_KEYS = [
    "r:q",
    "s5:q",
    "d:q",
    "dead",
    "exp",
    "leases",
    "owners",
    "o:one",
    "queues",
    "paused",
    "upkeep",
]


class Store(NamedTuple):
    driver: RedisDriver
    client: "redis.Redis"

    async def add(self, count: int, **fields: float) -> list[Message]:
        messages = [message(**fields) for _ in range(count)]
        await self.driver.enqueue(messages)
        return messages

    async def reserve(self, owner: str = "one", lease: float = 60.0) -> list[Message]:
        got = await self.driver.reserve(QUEUES, limit=100, owner=owner, lease=lease)
        return [delivery.message for delivery in got]

    async def die(self, messages: list[Message]) -> None:
        got = await self.driver.reserve(QUEUES, limit=100, owner="one", lease=60.0)
        assert [each.message for each in got] == messages
        await self.driver.settle(
            [Fail(each.lease, Reason.FAILED, ErrorInfo("E", "m", "t")) for each in got]
        )

    async def sweep(self) -> None:
        """Run the upkeep of a few reserves, after moves of the clock that look like outages."""
        for lease in (MOMENT, *[60.0] * 6):
            self.driver.clock_offset += 0.06
            await self.driver.reserve({"nothing": 1}, limit=1, owner="sweeper", lease=lease)

    async def look_at_everything(self, ids: list[bytes]) -> None:
        """Call everything that reads: nothing raises."""
        driver = self.driver
        await driver.queues()
        await driver.count("q")
        await driver.paused()
        await driver.workers()
        await driver.find(ids)
        await driver.known(ids)
        await driver.results(ids)
        await driver.progress(ids)
        await driver.dead_letters()
        await driver.dead_letters(queue="q")
        await driver.cancel_requests("one")
        driver.news()
        for state in State:
            await driver.browse(state)
            await driver.browse(state, queue="q", task="task")
            await driver.browse(state, task="ta*", since=1.0, until=1e12)
        await driver.browse(State.RUNNING, owner="one")
        for error in ("E", "a.E"):
            await driver.dead_letters(task="task", reason=Reason.FAILED, error=error)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("damage")) as server:
        yield server


@pytest.fixture
async def store(own_server: RedisServer) -> AsyncIterator[Store]:
    driver = RedisDriver(own_server.url)
    with own_server.client() as client:
        client.flushall()
        await driver.open()
        yield Store(driver, client)
        await driver.close()


@pytest.mark.parametrize("name", WRONG_KEYS)
async def test_key_of_another_type_is_replaced_and_its_messages_are_found_again(
    store: Store, name: str
) -> None:
    sent = await store.add(2)
    sent += await store.add(1, delay=0.001)
    sent += await store.add(1, expires=100.0)
    dead, leased = await store.driver.reserve({"q": 2}, limit=2, owner="one", lease=0.1)
    await store.driver.settle([Fail(dead.lease, Reason.FAILED, None)])
    store.client.delete(PREFIX + name.encode())
    if name in {"leases", "queues", "upkeep"}:
        store.client.set(PREFIX + name.encode(), "another type")
    else:
        store.client.hset(PREFIX + name.encode(), "another", "type")
    await store.look_at_everything([each.id for each in sent])
    await store.driver.extend("one", [leased.lease], lease=0.1)
    got = []
    for _ in range(12):
        store.driver.clock_offset += 0.1
        got += await store.reserve("two", 10.0)
    assert {each.id for each in got} == {each.id for each in sent} - {dead.message.id}
    letters = await store.driver.dead_letters()
    assert [letter.message.id for letter in letters.items] == [dead.message.id]
    counts = await store.driver.count("q")
    assert (counts.ready, counts.scheduled, counts.leased, counts.dead) == (0, 0, 3, 1)


async def test_sweep_goes_on_after_a_message_of_another_type(
    store: Store,
) -> None:
    """It is in no index, and neither are the messages beside it."""
    sent = await store.add(20)
    key = PREFIX + b"m:" + sent[0].id
    store.client.delete(key, PREFIX + b"r:q")
    store.client.rpush(key, "another type")
    got = []
    for _ in range(40):
        store.driver.clock_offset += 0.3
        got += await store.reserve(lease=1000.0)
    assert {each.id for each in got} == {each.id for each in sent[1:]}
    letters = await store.driver.dead_letters()
    assert [letter.message.id for letter in letters.items] == [sent[0].id]


@pytest.mark.parametrize("score", ["+inf", "1e300"])
async def test_times_in_indexes_that_no_clock_reaches_are_replaced(
    store: Store, score: str
) -> None:
    [late] = await store.add(1, delay=20.0)
    await store.add(1)
    [leased] = await store.reserve("gone", 5.0)
    store.client.zadd(PREFIX + b"s5:q", {late.id: score})
    store.client.zadd(PREFIX + b"owners", {"gone": score})
    got = []
    for _ in range(60):
        store.driver.clock_offset += 0.5
        got += await store.reserve(lease=1000.0)
    assert {each.id for each in got} == {late.id, leased.id}


async def test_leases_of_a_clock_that_was_ahead_end_when_it_is_set_back(store: Store) -> None:
    years = 10 * 365 * 86_400.0
    store.driver.clock_offset = years
    sent = await store.add(1)
    assert await store.reserve("gone", 30.0) == sent
    info = WorkerInfo("gone", "host", 1, 0.0, ("q",), 1, 1, "1")
    await store.driver.record_worker(info, ttl=30.0)
    for seconds in (0.0, 10.0, 20.0):
        store.driver.clock_offset = seconds
        assert await store.reserve("two", 30.0) == []
    store.driver.clock_offset = 32.0
    assert await store.reserve("two", 30.0) == sent
    assert await store.driver.workers() == []


async def test_undelivered_lease_is_released_after_the_clock_was_set_back(
    store: Store,
) -> None:
    store.driver.clock_offset = 86_400.0
    sent = await store.add(1)
    assert await store.reserve("one", 30.0) == sent
    store.driver.clock_offset = 0.0
    await store.driver.extend("one", [], lease=30.0)
    assert await store.reserve("one", 30.0) == [], "it may be on its way still"
    store.driver.clock_offset = 16.0
    await store.driver.extend("one", [], lease=30.0)
    assert await store.reserve("one", 30.0) == sent


async def test_second_outage_in_the_pause_ends_no_lease_that_was_renewed(
    store: Store,
) -> None:
    await store.add(1)
    [delivery] = await store.driver.reserve(QUEUES, limit=1, owner="lives", lease=30.0)
    for seconds in (31.0, 70.0):
        store.driver.clock_offset = seconds
        assert await store.reserve("two", 30.0) == []
        states = await store.driver.extend("lives", [delivery.lease], lease=30.0)
        assert states == [LeaseState.HELD]


async def test_worker_can_renew_a_long_lease_after_a_jump_of_the_clock(
    store: Store,
) -> None:
    await store.add(1)
    [delivery] = await store.driver.reserve(QUEUES, limit=1, owner="long", lease=600.0)
    await store.reserve("short", 2.0)
    for seconds in range(2000, 2201, 50):  # it renews every 200 s
        store.driver.clock_offset = float(seconds)
        assert await store.reserve("short", 2.0) == []
    states = await store.driver.extend("long", [delivery.lease], lease=600.0)
    assert states == [LeaseState.HELD]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "first byte": lambda value: value[:1],
    "half of the head": lambda value: value[:25],
    "no profile": lambda value: value[:60],
    "half of the profile": lambda value: value[:64],
    "unknown state": lambda value: b"\x09" + value[1:],
    "unknown flags": lambda value: value[:1] + b"\xc0" + value[2:],
    "a unique key that is not there": lambda value: value[:1] + b"\x02" + value[2:],
    "a token that is not exact": lambda value: value[:2] + b"\xff" * 8 + value[10:],
    "times that are no numbers": lambda value: value[:23] + b"\xff" * 32 + value[55:],
    "length of the queue": lambda value: value[:55] + b"\xff\xff" + value[57:],
    "name of the queue": lambda value: value[:57] + b"\xff" + value[58:],
    "profile": lambda value: value[:60] + b"\xc1" * 20 + value[80:],
    "something else": lambda _: b"\xff" * 100,
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("kind", DAMAGES)
async def test_damaged_message_costs_only_itself(store: Store, kind: str, place: int) -> None:
    sent = await store.add(3)
    key = PREFIX + b"m:" + sent[place].id
    value: Any = store.client.get(key)
    store.client.set(key, DAMAGES[kind](value))
    await store.look_at_everything([each.id for each in sent])
    got = await store.reserve()
    assert got == [each for each in sent if each is not sent[place]]
    await store.sweep()
    await store.look_at_everything([each.id for each in sent])
    [letter] = (await store.driver.dead_letters(queue="q")).items
    assert letter.message.id == sent[place].id
    assert letter.reason is Reason.UNDECODABLE
    assert letter.error is not None
    assert (await store.driver.count("q")).leased == 2


async def test_random_contents_stop_no_call(store: Store) -> None:
    chance = random.Random(11)
    ids = [chance.randbytes(16) for _ in range(300)]
    for one in ids:
        value = chance.choice(
            [
                b"\x01" * 10,
                chance.randbytes(60),
                b"\x01\x00" + chance.randbytes(60),
                b"\x01\x02" + chance.randbytes(55) + b"\xff" * 8,
                b"\x02" + chance.randbytes(80),
                b"\x03" + chance.randbytes(5),
                b"\x04\x00" + chance.randbytes(16),
                b"\x01\x00" + bytes(50),
            ]
        )
        store.client.set(PREFIX + b"m:" + one, value)
        key = chance.choice([b"r:q", b"s5:q", b"d:q", b"dead", b"exp"])
        store.client.zadd(PREFIX + key, {one: chance.choice([0, 1e15, 5e15, -1])})
        store.client.hset(
            PREFIX + b"leases", chance.randbytes(16), chance.randbytes(chance.randrange(70))
        )
        store.client.hset(
            PREFIX + b"x:" + one,
            mapping={"e": chance.randbytes(9), "r": b"\xff", "d": b"nan", "m": b"x"},
        )
        store.client.set(
            PREFIX + b"u:" + chance.randbytes(3), chance.randbytes(chance.choice([3, 33]))
        )
    store.client.zadd(PREFIX + b"r:q", {b"short": 0, b"gone": 1})
    store.client.set(PREFIX + b"m:short", b"a record under an id of five bytes")
    store.client.hset(PREFIX + b"queues", "q", "no number")
    store.client.hset(PREFIX + b"workers:described", "w", b"\xc1")
    store.client.zadd(PREFIX + b"workers", {"w": 9e15})
    store.client.hset(
        PREFIX + b"upkeep", mapping={"mark": "nan", "pause": "x", "keys": "x", "swept": ""}
    )
    await store.look_at_everything(ids)
    good = await store.add(2)
    got = []
    for _ in range(30):
        await store.sweep()
        got += await store.reserve("one", 0.5)
    assert {each.id for each in good} <= {each.id for each in got}
    await store.look_at_everything(ids)
    await store.driver.cancel(ids)
    await store.driver.requeue(ids)
    await store.driver.delete_dead(ids)
    for state in (State.READY, State.SCHEDULED, State.DEAD):
        await store.driver.purge("q", states=[state])
    [last] = await store.add(1)
    assert last in await store.reserve()


async def test_record_under_an_id_of_another_length_becomes_a_dead_letter(store: Store) -> None:
    store.client.zadd(PREFIX + b"r:q", {b"short": 0})
    store.client.set(PREFIX + b"m:short", b"bytes")
    assert await store.reserve() == []
    [letter] = (await store.driver.dead_letters()).items
    assert letter.message.body == b"bytes"
    assert len(letter.message.id) == 16


@pytest.mark.parametrize("key", [b"dead", b"d:q"])
async def test_purge_ends_although_values_of_dead_letters_are_gone(
    store: Store, key: bytes
) -> None:
    sent = await store.add(3)
    await store.die(sent)
    for each in sent[:2]:
        store.client.delete(PREFIX + b"m:" + each.id)
    store.client.zadd(PREFIX + key, {new_id(): number for number in range(1500)})
    letters = await store.driver.dead_letters(limit=5000)
    assert [letter.message for letter in letters.items] == sent[2:]
    assert await store.driver.purge("q", states=[State.DEAD]) == 1
    for _ in range(20):
        await store.sweep()
    assert (await store.driver.count("q")).dead == 0


async def test_names_of_unused_queues_are_forgotten(store: Store) -> None:
    queues = {f"once-{number}": 1 for number in range(150)}
    await store.driver.enqueue([Message(new_id(), queue, "t", b"") for queue in queues])
    await store.driver.enqueue([Message(new_id(), "kept", "t", b"", delay=3600.0)])
    got = await store.driver.reserve(queues, limit=200, owner="one", lease=60.0)
    await store.driver.settle([Complete(each.lease) for each in got])
    for _ in range(20):
        await store.sweep()
    assert store.client.hkeys(PREFIX + b"queues") == [b"kept"]


async def test_lease_of_an_unknown_owner_ends_after_its_own_length(store: Store) -> None:
    sent = await store.add(2)
    got = await store.driver.reserve(QUEUES, limit=9, owner="one", lease=5.0)
    store.client.delete(PREFIX + b"owners", PREFIX + b"o:one")
    await store.sweep()
    assert (await store.driver.count("q")).leased == 2, "its owner may live"
    assert await store.driver.settle([Complete(got[0].lease)]) != []
    store.driver.clock_offset += 5.0
    await store.sweep()
    [again] = await store.driver.reserve(QUEUES, limit=9, owner="two", lease=60.0)
    assert (again.message, again.lost) == (sent[1], 1)


async def test_message_in_no_index_is_ready_again(store: Store) -> None:
    ready, later = (*await store.add(1), *await store.add(1, delay=30.0))
    for key in (b"r:q", b"s5:q", b"queues"):
        store.client.delete(PREFIX + key)
    await store.sweep()
    counts = await store.driver.count("q")
    assert (counts.ready, counts.scheduled) == (1, 1)
    [got] = await store.driver.reserve(QUEUES, limit=9, owner="one", lease=60.0)
    assert (got.message, got.lost) == (ready, 0)
    store.driver.clock_offset += 31.0
    assert await store.reserve() == [later]


async def test_message_that_is_leased_and_ready_is_delivered_once(store: Store) -> None:
    [sent] = await store.add(1)
    [first] = await store.driver.reserve(QUEUES, limit=9, owner="one", lease=60.0)
    store.client.zadd(PREFIX + b"r:q", {sent.id: 0})
    assert await store.reserve("two") == []
    await store.driver.settle([Release(first.lease)])
    assert await store.reserve("two") == [sent]


async def test_worker_records_that_are_damaged_are_left_out(store: Store) -> None:
    worker = WorkerInfo("w", "host", 1, 0.0, ("q",), 1, 0, "1")
    await store.driver.record_worker(worker, ttl=60.0)
    store.client.zadd(PREFIX + b"workers", {"x": 9e15, "y": 9e15})
    store.client.hset(PREFIX + b"workers:described", mapping={"x": b"\xc1", "y": b"\x80"})
    assert [each.id for each in await store.driver.workers()] == ["w"]


@pytest.mark.parametrize("how", ["completed", "cancelled"])
async def test_ended_message_with_an_entry_in_its_queue_keeps_its_outcome(
    store: Store, how: str
) -> None:
    [ended] = await store.add(1)
    if how == "completed":
        [got] = await store.driver.reserve(QUEUES, limit=1, owner="one", lease=60.0)
        await store.driver.settle([Complete(got.lease, b"r", 60.0)])
    else:
        await store.driver.cancel([ended.id])
    store.client.zadd(
        PREFIX + b"r:q", {ended.id: 0}
    )  # as a reserve that failed at its end leaves it
    [other] = await store.add(1)
    assert await store.reserve() == [other]
    [outcome] = await store.driver.results([ended.id])
    assert outcome is not None
    assert outcome.state is State[how.upper()]
    assert store.client.zcard(PREFIX + b"r:q") == 0
