"""RabbitMQ with a state store beside it: what RabbitMQ lacks goes there, and recorded ends are not run again."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from asynctasq.contracts.capabilities import News
from asynctasq.message import State
from asynctasq.settlement import Reason, Retry, Settled
from asynctasq_rabbitmq import RabbitMQDriver
from tests.composed.pair import (
    ERROR,
    QUEUE,
    Pair,
    check_a_copy_of_an_ended_message_is_removed_unrun,
    check_an_expired_message_is_never_run_although_the_state_store_failed,
    opened_pair,
)
from tests.drivers.receiving import received

MakeDriver = Callable[..., RabbitMQDriver]


@pytest.fixture
async def pair(make_driver: MakeDriver) -> AsyncIterator[Pair]:
    async with opened_pair(make_driver(delays="off")) as pair:
        yield pair


async def test_the_state_store_holds_priorities_and_delays(pair: Pair) -> None:
    await pair.enqueue()
    assert await pair.in_state() == (0, 0)
    await pair.enqueue(priority=9)
    assert await pair.in_state() == (1, 0)
    await pair.enqueue(delay=100.0)
    assert await pair.in_state() == (1, 1)


async def test_the_state_store_adopts_a_retry_that_has_a_delay(pair: Pair) -> None:
    message = await pair.enqueue()
    [first] = await pair.reserve()
    assert await pair.driver.settle([Retry(first.lease, 50.0, ERROR)]) == [Settled.DONE]
    assert await pair.in_state() == (0, 1)
    pair.driver.clock_offset = 51.0
    [again] = await pair.reserve()
    assert (again.message.id, again.attempt) == (message.id, 1)


async def test_a_copy_of_an_ended_message_is_removed_unrun(pair: Pair) -> None:
    await check_a_copy_of_an_ended_message_is_removed_unrun(pair)


async def test_an_expired_message_is_never_run_although_the_state_store_failed(pair: Pair) -> None:
    await check_an_expired_message_is_never_run_although_the_state_store_failed(pair)


async def test_a_message_whose_lease_ended_too_often_is_a_dead_letter_in_the_state_store(
    pair: Pair,
) -> None:
    # Both leases end in a process that lives, and keeps its connection.
    message = await pair.enqueue(max_lost=1)
    for lost, owner in enumerate(("first", "second")):
        [run] = await received(pair.driver, 1, queue=QUEUE, owner=owner, lease=0.2)
        assert run.lost == lost
    news: list[News] = []
    async with asyncio.timeout(30.0):
        while not (page := await pair.state.dead_letters()).items:
            await pair.driver.wait([QUEUE], timeout=0.5)
            assert await pair.reserve() == []
            news += pair.driver.news()
    [dead] = page.items
    assert (dead.message.id, dead.reason) == (message.id, Reason.LOST)
    assert (State.DEAD, Reason.LOST) in [(each.state, each.reason) for each in news]
    assert (await pair.queue.count(QUEUE)).dead == 0
