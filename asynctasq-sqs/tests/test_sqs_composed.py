"""SQS with a state store beside it: messages that SQS cannot hold go there, and recorded ends are not run again."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Reason, Retry, Settled
from asynctasq_sqs import SQSDriver
from tests.composed.failing import Calls, watched
from tests.servers.moto_driver import SETTINGS, MovableClock

FIFO, STANDARD = "orders.fifo", "orders"
ERROR = ErrorInfo("shop.OutOfStock", "none left", "Traceback …")
LEASE = 60.0


class Pair:
    """A queue in SQS and a state store in memory, each of which a test can also ask alone."""

    def __init__(self, queue: SQSDriver) -> None:
        self.queue, self.state = queue, MemoryDriver()
        self.calls = Calls()
        state = watched(self.state.clone(), "state", self.calls)
        self.driver = ComposedDriver(queue.clone(), state)

    async def enqueue(self, **fields: Any) -> Message:
        chosen: dict[str, Any] = {"queue": STANDARD, "task": "shop.ship", "body": b"b", **fields}
        message = Message(id=new_id(), **chosen)
        await self.driver.enqueue([message])
        return message

    async def reserve(self, queue: str = STANDARD) -> list[Delivery]:
        return await self.driver.reserve({queue: 10}, limit=10, owner="w", lease=LEASE)

    def move_clock(self, seconds: float) -> None:
        self.queue.clock_offset = self.driver.clock_offset = seconds

    async def scheduled_in_state(self, queue: str) -> int | None:
        return (await self.state.count(queue)).scheduled


@pytest.fixture
async def pair(url: str, namespace: str) -> AsyncIterator[Pair]:
    pair = Pair(MovableClock(**SETTINGS, endpoint_url=url, namespace=namespace))
    await pair.queue.open()
    await pair.state.open()
    await pair.driver.open()
    try:
        yield pair
    finally:
        await pair.driver.close()
        await pair.state.close()
        await pair.queue.close()


@pytest.mark.parametrize(("queue", "in_state"), [(FIFO, 1), (STANDARD, 0)])
async def test_the_state_store_holds_delays_that_a_fifo_queue_cannot(
    queue: str, in_state: int, pair: Pair
) -> None:
    delayed = await pair.enqueue(queue=queue, delay=100.0)
    assert await pair.scheduled_in_state(queue) == in_state
    assert await pair.reserve(queue) == []
    pair.move_clock(101.0)
    [delivery] = await pair.reserve(queue)
    assert delivery.message.id == delayed.id
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]


async def test_a_fifo_queue_by_another_name_has_no_delays_either(
    make_driver: Callable[..., SQSDriver],
) -> None:
    driver = make_driver(queue_names={STANDARD: FIFO})
    assert driver.longest_delay_of(STANDARD) == 0.0
    assert driver.longest_delay_of("others") == driver.longest_delay


async def test_the_state_store_adopts_a_retry_that_sqs_cannot_delay(pair: Pair) -> None:
    message = await pair.enqueue()
    [first] = await pair.reserve()
    assert await pair.driver.settle([Retry(first.lease, 5000.0, ERROR)]) == [Settled.DONE]
    assert await pair.scheduled_in_state(STANDARD) == 1
    pair.move_clock(2000.0)
    assert await pair.reserve() == [], "SQS has kept a copy"
    pair.move_clock(5001.0)
    [again] = await pair.reserve()
    assert (again.message.id, again.attempt) == (message.id, 1)


async def test_a_copy_of_an_ended_message_is_removed_unrun(pair: Pair) -> None:
    message = await pair.enqueue()
    [delivery] = await pair.reserve()
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    await pair.queue.enqueue([message])
    assert await pair.reserve() == []
    counts = await pair.queue.count(STANDARD)
    assert (counts.ready, counts.leased) == (0, 0)


async def test_an_expired_message_is_never_run_although_the_state_store_failed(pair: Pair) -> None:
    message = await pair.enqueue(expires=50.0)
    pair.move_clock(51.0)
    pair.calls.fail("state.finish", done=False)
    with pytest.raises(DriverUnavailable):
        await pair.reserve()
    assert await pair.reserve() == []
    [outcome] = await pair.driver.results([message.id])
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.DEAD, Reason.EXPIRED)
    counts = await pair.queue.count(STANDARD)
    assert (counts.ready, counts.leased) == (0, 0)
