"""SQS with a state store beside it: messages that SQS cannot hold go there, and recorded ends are not run again."""

from collections.abc import AsyncIterator, Callable

import pytest

from asynctasq.message import State
from asynctasq.settlement import Complete, Reason, Retry, Settled
from asynctasq_sqs import SQSDriver
from tests.composed.pair import (
    ERROR,
    LEASE,
    QUEUE,
    Pair,
    check_a_copy_of_an_ended_message_is_removed_unrun,
    check_an_expired_message_is_never_run_although_the_state_store_failed,
    opened_pair,
)
from tests.servers.moto_driver import MovableClock

FIFO = "orders.fifo"


@pytest.fixture
async def pair(url: str, namespace: str) -> AsyncIterator[Pair]:
    async with opened_pair(MovableClock.at(url, namespace)) as pair:
        yield pair


@pytest.mark.parametrize(("queue", "in_state"), [(FIFO, 1), (QUEUE, 0)])
async def test_the_state_store_holds_delays_that_a_fifo_queue_cannot(
    queue: str, in_state: int, pair: Pair
) -> None:
    delayed = await pair.enqueue(queue=queue, delay=100.0)
    assert await pair.in_state(queue) == (0, in_state)
    assert await pair.reserve(queue) == []
    pair.move_clock(101.0)
    [delivery] = await pair.reserve(queue)
    assert delivery.message.id == delayed.id
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]


async def test_a_fifo_queue_by_another_name_has_no_delays_either(
    make_driver: Callable[..., SQSDriver],
) -> None:
    driver = make_driver(queue_names={QUEUE: FIFO})
    assert driver.longest_delay_of(QUEUE) == 0.0
    assert driver.longest_delay_of("others") == driver.longest_delay


async def test_the_state_store_adopts_a_retry_that_sqs_cannot_delay(pair: Pair) -> None:
    message = await pair.enqueue()
    [first] = await pair.reserve()
    assert await pair.driver.settle([Retry(first.lease, 5000.0, ERROR)]) == [Settled.DONE]
    assert await pair.in_state() == (0, 1)
    pair.move_clock(2000.0)
    assert await pair.reserve() == [], "SQS has kept a copy"
    pair.move_clock(5001.0)
    [again] = await pair.reserve()
    assert (again.message.id, again.attempt) == (message.id, 1)


async def test_a_copy_of_an_ended_message_is_removed_unrun(pair: Pair) -> None:
    await check_a_copy_of_an_ended_message_is_removed_unrun(pair)


async def test_an_expired_message_is_never_run_although_the_state_store_failed(pair: Pair) -> None:
    await check_an_expired_message_is_never_run_although_the_state_store_failed(pair)


async def test_an_expired_message_is_never_run_although_its_worker_was_killed(pair: Pair) -> None:
    """The worker has received the message, and is killed before it can record the end."""
    message = await pair.enqueue(expires=50.0)
    pair.move_clock(100.0)
    _, [death] = await pair.queue.reserve_and_deaths({QUEUE: 10}, limit=10, owner="w", lease=LEASE)
    assert death.delivery.message.id == message.id
    pair.move_clock(100.0 + 2 * LEASE)
    assert await pair.reserve() == []
    [outcome] = await pair.driver.results([message.id])
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.DEAD, Reason.EXPIRED)


async def test_a_message_that_has_begun_does_not_expire(pair: Pair) -> None:
    message = await pair.enqueue(expires=50.0)
    await pair.reserve()
    pair.move_clock(2 * LEASE)
    [again] = await pair.reserve()
    assert (again.message.id, again.lost) == (message.id, 1)
