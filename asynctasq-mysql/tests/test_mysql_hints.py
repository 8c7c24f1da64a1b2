"""Searches begin where the last one has found something, as long as they are slow otherwise."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymysql.cursors import Cursor

from asynctasq.driverkit.hints import PLAIN_SECONDS
from asynctasq.driverkit.times import micros
from asynctasq.message import Delivery, Message, new_id
from asynctasq.settlement import Complete, Release
from asynctasq_mysql import MySQLDriver
from asynctasq_mysql.enqueueing import enqueue
from asynctasq_mysql.hinting import ALARMS, BEGINNING, NEVER, SLOW, SLOW_SEARCHES, SearchHints
from asynctasq_mysql.opening import open_store
from asynctasq_mysql.reserving import Reserve
from asynctasq_mysql.settings import MySQLSettings
from asynctasq_mysql.store import Store
from tests.drivers.opening import opened
from tests.servers.databases import mysql_connection

MESSAGES, BATCH = 4_000, 250
URGENT, USUAL = b"urgent", b"usual"
PRIORITIES = {URGENT: 9, USUAL: 5}
USUAL_RANK = 4


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(url: str, namespace: str, clock: Clock) -> AsyncIterator[Store]:
    """Yield an open store in a namespace of its own, whose hints get old by a clock of the test."""
    values: dict[str, Any] = {**MySQLSettings.from_url(url), "namespace": namespace}
    store = await open_store(MySQLSettings(**values), "a test", 0)
    store.hints = SearchHints(clock)
    yield store
    await store.connections.close()


@pytest.fixture
def foreign(url: str) -> Iterator[Cursor]:
    """Keep a transaction open that reads the tables as they are."""
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SELECT 1 FROM asynctasq_messages LIMIT 1")
        yield cursor
        cursor.execute("ROLLBACK")


async def enqueue_some(store: Store, *bodies: bytes, delay: float = 0.0) -> None:
    messages = [
        Message(new_id(), "q", "t", body, priority=PRIORITIES[body], delay=delay) for body in bodies
    ]
    await enqueue(store, messages, await store.numbers(["q"], creates=True))


async def reserve(store: Store, limit: int = 1) -> list[Delivery]:
    return await Reserve(store, {"q": limit}, limit, "w", 60.0)()


async def bodies(store: Store, limit: int = 1) -> list[bytes]:
    return [each.message.body for each in await reserve(store, limit)]


def hint_to(store: Store, place: tuple[int, int]) -> None:
    """Let the next search begin at a place, as after slow searches that ended there."""
    for _ in range(SLOW_SEARCHES):
        store.hints.ready.learn(store.hints.ready.search(["q"]), {"q"}, {"q": place})


async def test_a_search_begins_at_its_hint_and_overlooks_nothing_for_long(
    store: Store, clock: Clock
) -> None:
    await enqueue_some(store, URGENT, USUAL, USUAL)
    hint_to(store, (USUAL_RANK, 0))
    assert await bodies(store) == [USUAL]
    clock.now += PLAIN_SECONDS
    assert await bodies(store, 2) == [URGENT, USUAL]


async def test_a_hint_moves_to_the_last_message_that_was_taken(store: Store) -> None:
    await enqueue_some(store, USUAL, USUAL)
    hint_to(store, (USUAL_RANK, 0))
    [first] = await reserve(store)
    [(rank, sort_at)] = [place for place in store.hints.ready.search(["q"]).places if place]
    assert rank == USUAL_RANK
    assert sort_at == pytest.approx(first.due_at * 1e6, abs=1)


async def test_a_search_that_reaches_the_end_of_the_queue_is_followed_by_one_from_the_beginning(
    store: Store,
) -> None:
    await enqueue_some(store, URGENT, USUAL)
    hint_to(store, (USUAL_RANK, 0))
    assert await bodies(store, 2) == [USUAL]
    assert await bodies(store, 2) == [URGENT]


async def test_messages_that_were_found_but_not_taken_move_no_hint(store: Store) -> None:
    await enqueue_some(store, USUAL)
    queues = await store.numbers(["other"], creates=True)
    await enqueue(store, [Message(new_id(), "other", "t", b"body")], queues)
    hint_to(store, (USUAL_RANK, 0))
    [first] = await Reserve(store, {"other": 1, "q": 1}, 1, "w", 60.0)()
    assert first.message.queue == "other"
    assert store.hints.ready.search(["q"]).places == [(USUAL_RANK, 0)]


async def test_one_quick_search_from_the_beginning_ends_the_hint(
    store: Store, clock: Clock
) -> None:
    await enqueue_some(store, USUAL, USUAL)
    hint_to(store, (USUAL_RANK, 0))
    clock.now += PLAIN_SECONDS
    lookout = store.hints.lookout(["q"])
    quick = (b"id", *range(10), USUAL_RANK, 7, SLOW - 1)
    lookout.note((1, None, None, None, None, 1, 1, 0), [("q", 1, [quick])])
    lookout.learn([("q", quick)])
    assert store.hints.ready.search(["q"]).places == [None]


async def test_times_that_have_come_are_overlooked_only_until_the_next_search_from_the_beginning(
    store: Store, clock: Clock
) -> None:
    await enqueue_some(store, USUAL, delay=60.0)
    store.offset = micros(61.0)
    alarms = store.hints.alarms
    for _ in range(SLOW_SEARCHES):
        alarms.learn(alarms.search(ALARMS), ALARMS, {ALARMS[0]: NEVER})
    assert store.hints.since == NEVER
    assert await bodies(store) == []
    clock.now += PLAIN_SECONDS
    assert store.hints.since == BEGINNING
    assert await bodies(store) == [USUAL]


async def test_a_slow_search_for_times_is_followed_by_one_from_the_first_time_that_it_found(
    store: Store,
) -> None:
    for _ in range(SLOW_SEARCHES):
        lookout = store.hints.lookout(["q"])
        lookout.note((50, None, 40, None, 45, 1, 1, SLOW), [])
        lookout.learn([])
    assert store.hints.since == 40


@pytest.mark.usefixtures("foreign")
async def test_no_message_is_overlooked_while_a_transaction_is_open(
    url: str, namespace: str
) -> None:
    async with opened(MySQLDriver(url, namespace=namespace)) as driver:
        messages = [Message(new_id(), "q", "t", b"body") for _ in range(MESSAGES)]
        for at in range(0, MESSAGES, 1_000):
            await driver.enqueue(messages[at : at + 1_000])
        done: set[bytes] = set()
        released = False
        while len(done) < len(messages):
            deliveries = await driver.reserve({"q": BATCH}, limit=BATCH, owner="w", lease=60.0)
            if not released and done:
                await driver.settle([Release(delivery.lease) for delivery in deliveries])
                released = True
                continue
            await driver.settle([Complete(delivery.lease) for delivery in deliveries])
            done |= {delivery.message.id for delivery in deliveries}
    assert done == {message.id for message in messages}
