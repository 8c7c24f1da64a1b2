"""RabbitMQ with a state store beside it: what RabbitMQ lacks goes there, and recorded ends are not run again."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Reason, Retry, Settled
from asynctasq_rabbitmq import RabbitMQDriver
from tests.composed.failing import Calls, watched

ERROR = ErrorInfo("shop.OutOfStock", "none left", "Traceback …")
LEASE = 60.0
MakeDriver = Callable[..., RabbitMQDriver]


class Pair:
    """A queue in RabbitMQ and a state store in memory, each of which a test can also ask alone."""

    def __init__(self, queue: RabbitMQDriver) -> None:
        self.queue, self.state = queue, MemoryDriver()
        self.calls = Calls()
        state = watched(self.state.clone(), "state", self.calls)
        self.driver = ComposedDriver(queue.clone(), state)

    async def enqueue(self, **fields: Any) -> Message:
        message = Message(id=new_id(), queue="orders", task="shop.ship", body=b"b", **fields)
        await self.driver.enqueue([message])
        return message

    async def reserve(self) -> list[Delivery]:
        return await self.driver.reserve({"orders": 10}, limit=10, owner="w", lease=LEASE)

    async def in_state(self) -> tuple[int | None, int | None]:
        counts = await self.state.count("orders")
        return counts.ready, counts.scheduled


@pytest.fixture
async def pair(make_driver: MakeDriver) -> AsyncIterator[Pair]:
    pair = Pair(make_driver(delays="off"))
    await pair.queue.open()
    await pair.state.open()
    await pair.driver.open()
    try:
        yield pair
    finally:
        await pair.driver.close()
        await pair.state.close()
        await pair.queue.close()


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
    message = await pair.enqueue()
    [delivery] = await pair.reserve()
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    await pair.queue.enqueue([message])
    assert await pair.reserve() == []
    counts = await pair.queue.count("orders")
    assert (counts.ready, counts.leased) == (0, 0)


async def test_an_expired_message_is_never_run_although_the_state_store_failed(pair: Pair) -> None:
    message = await pair.enqueue(expires=50.0)
    pair.driver.clock_offset = pair.queue.clock_offset = 51.0
    pair.calls.fail("state.finish", done=False)
    with pytest.raises(DriverUnavailable):
        await pair.reserve()
    assert await pair.reserve() == []
    [outcome] = await pair.driver.results([message.id])
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.DEAD, Reason.EXPIRED)
