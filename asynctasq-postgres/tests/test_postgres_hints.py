"""Searches begin where the last one has found something, as long as they are slow otherwise."""

from uuid import uuid4

import asyncpg

from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Release
from asynctasq_postgres import PostgresDriver
from asynctasq_postgres.hints import PLAIN_SECONDS, SLOW, Hints
from tests.drivers.opening import opened

NAMES = ["a", "b"]


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(place: int, rank: int, time: int) -> tuple[object, ...]:
    return place, rank, time, b"", 0


def slow(place: int) -> tuple[object, ...]:
    return SLOW, 0, 0, None, place


def test_searches_that_are_quick_begin_at_the_beginning() -> None:
    hints = Hints()
    hints.learn(NAMES, [taken(1, 4, 10)])
    assert hints.parameters(NAMES) == (None, None)


def test_a_slow_search_is_followed_by_one_from_its_last_message_on() -> None:
    clock = Clock()
    hints = Hints(clock)
    hints.learn(NAMES, [slow(1), taken(1, 4, 10), taken(1, 4, 20), taken(2, 4, 5)])
    assert hints.parameters(NAMES) == ([4, None], [20, None])
    hints.learn(NAMES, [taken(1, 4, 30)])
    assert hints.parameters(NAMES) == ([4, None], [30, None])


def test_a_search_from_the_beginning_decides_again_after_a_while() -> None:
    clock = Clock()
    hints = Hints(clock)
    hints.learn(NAMES, [slow(1), taken(1, 4, 20)])
    clock.now += PLAIN_SECONDS
    assert hints.parameters(NAMES) == ([None, None], [None, None])
    hints.learn(NAMES, [slow(1), taken(1, 4, 40)])
    assert hints.parameters(NAMES) == ([4, None], [40, None])
    clock.now += PLAIN_SECONDS
    hints.learn(NAMES, [taken(1, 4, 50)])
    assert hints.parameters(NAMES) == (None, None)


async def test_no_message_is_overlooked_while_a_transaction_is_open(url: str) -> None:
    driver = PostgresDriver(url, namespace=uuid4().hex)
    foreign = await asyncpg.connect(url)
    transaction = foreign.transaction(isolation="repeatable_read")
    await transaction.start()
    await foreign.fetchval("SELECT count(*) FROM asynctasq.meta")
    async with opened(driver):
        messages = [Message(new_id(), "q", "t", b"body") for _ in range(8_000)]
        for at in range(0, 8_000, 1_000):
            await driver.enqueue(messages[at : at + 1_000])
        done: set[bytes] = set()
        released = False
        while len(done) < len(messages):
            deliveries = await driver.reserve({"q": 500}, limit=500, owner="w", lease=60.0)
            if not released and done:
                await driver.settle([Release(delivery.lease) for delivery in deliveries])
                released = True
                continue
            await driver.settle([Complete(delivery.lease) for delivery in deliveries])
            done |= {delivery.message.id for delivery in deliveries}
    await transaction.rollback()
    await foreign.close()
    assert done == {message.id for message in messages}
