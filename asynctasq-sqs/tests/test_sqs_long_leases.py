"""Tasks of more than twelve hours: SQS ends their leases, so a note in a state store stands for them."""

from collections.abc import AsyncIterator

import pytest

from asynctasq.contracts.capabilities.state import Mark
from asynctasq.message import Delivery, State
from asynctasq.settlement import Complete, LeaseState, Retry, Settled
from asynctasq_sqs import SQSDriver
from tests.composed.pair import ERROR, QUEUE, Pair, opened_pair
from tests.servers.moto_driver import MovableClock
from tests.servers.sqs_proxy import SQSProxy, sqs_proxy

HOUR = 3600.0
LATE = 11.5 * HOUR
"""Seconds after which a lease is near its limit."""
COPY = 900.0


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[SQSProxy]:
    async with sqs_proxy(url) as proxy:
        yield proxy


@pytest.fixture
async def pair(url: str, proxy: SQSProxy, namespace: str) -> AsyncIterator[Pair]:
    class Proxied(MovableClock):
        control_url = url

    async with opened_pair(Proxied.at(proxy.url, namespace)) as pair:
        yield pair


async def start(pair: Pair, queue: str = QUEUE) -> Delivery:
    """Lease a message for twelve hours, and move the clock to the end of this time."""
    await pair.enqueue(queue=queue)
    [delivery] = await pair.driver.reserve({queue: 1}, limit=1, owner="w", lease=12 * HOUR)
    pair.move_clock(LATE)
    return delivery


async def extend(pair: Pair, delivery: Delivery) -> LeaseState:
    [state] = await pair.driver.extend("w", [delivery.lease], lease=60.0)
    return state


async def mark_of(pair: Pair, delivery: Delivery) -> Mark:
    [mark] = await pair.state.marks([delivery.message.id])
    return mark


def test_sqs_has_a_limit() -> None:
    assert SQSDriver.longest_lease < 12 * HOUR


@pytest.mark.parametrize("queue", [QUEUE, "orders.fifo"])
async def test_a_task_of_a_day_runs_once(queue: str, pair: Pair) -> None:
    delivery = await start(pair, queue)
    assert await extend(pair, delivery) is LeaseState.HELD
    assert await mark_of(pair, delivery) is Mark.RUNNING
    now = LATE
    while now < 14 * HOUR:
        now += COPY - 100.0
        pair.move_clock(now)
        assert await extend(pair, delivery) is LeaseState.HELD
        assert await pair.reserve(queue) == []
    assert await pair.driver.settle([Complete(delivery.lease, b"late")]) == [Settled.DONE]
    [outcome] = await pair.driver.results([delivery.message.id])
    assert outcome is not None
    assert (outcome.state, outcome.result) == (State.COMPLETED, b"late")
    pair.move_clock(now + COPY)
    assert await pair.reserve(queue) == []
    counts = await pair.queue.count(queue)
    assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)


@pytest.mark.parametrize("operation", ["SendMessageBatch", "DeleteMessageBatch"])
async def test_a_call_that_failed_is_repeated_and_sends_one_copy(
    operation: str, pair: Pair, proxy: SQSProxy
) -> None:
    delivery = await start(pair)
    proxy.fail_before = lambda name: name == operation
    assert await extend(pair, delivery) is LeaseState.HELD
    proxy.fail_before = lambda name: False
    assert await extend(pair, delivery) is LeaseState.HELD
    counts = await pair.queue.count(QUEUE)
    assert (counts.ready, counts.scheduled, counts.leased) == (0, 1, 0)
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    pair.move_clock(LATE + COPY)
    assert await pair.reserve() == []


async def test_a_copy_whose_original_was_not_deleted_does_not_run_beside_it(
    pair: Pair, proxy: SQSProxy
) -> None:
    delivery = await start(pair)
    proxy.fail_before = lambda name: name == "DeleteMessageBatch"
    assert await extend(pair, delivery) is LeaseState.HELD
    proxy.fail_before = lambda name: False
    assert await pair.driver.settle([Retry(delivery.lease, 0.0, ERROR)]) == [Settled.DONE]
    pair.move_clock(LATE + COPY)
    [again] = await pair.reserve()
    assert (again.message.id, again.attempt) == (delivery.message.id, 1)


async def test_the_copy_runs_when_the_worker_has_died(pair: Pair) -> None:
    delivery = await start(pair)
    assert await extend(pair, delivery) is LeaseState.HELD
    pair.move_clock(LATE + 2 * COPY)  # the note has run out
    [again] = await pair.reserve()
    assert again.message.id == delivery.message.id
    assert await extend(pair, delivery) is LeaseState.LOST
