"""A broker's queue with a state store beside it, and checks that hold for every broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.composed.parts import QueueDriver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Reason, Settled
from tests.composed.failing import Calls, watched

QUEUE = "orders"
ERROR = ErrorInfo("shop.OutOfStock", "none left", "Traceback …")
LEASE = 60.0


class Pair:
    """A queue and a state store in memory, each of which a test can also ask alone."""

    def __init__(self, queue: QueueDriver) -> None:
        self.queue, self.state = queue, MemoryDriver()
        self.calls = Calls()
        state = watched(self.state.clone(), "state", self.calls)
        self.driver = ComposedDriver(queue.clone(), state)

    async def enqueue(self, **fields: Any) -> Message:
        chosen: dict[str, Any] = {"queue": QUEUE, "task": "shop.ship", "body": b"b", **fields}
        message = Message(id=new_id(), **chosen)
        await self.driver.enqueue([message])
        return message

    async def reserve(self, queue: str = QUEUE) -> list[Delivery]:
        return await self.driver.reserve({queue: 10}, limit=10, owner="w", lease=LEASE)

    def move_clock(self, seconds: float) -> None:
        self.queue.clock_offset = self.driver.clock_offset = seconds

    async def in_state(self, queue: str = QUEUE) -> tuple[int | None, int | None]:
        """Return the numbers of ready and of scheduled messages in the state store."""
        counts = await self.state.count(queue)
        return counts.ready, counts.scheduled


@asynccontextmanager
async def opened_pair(queue: QueueDriver) -> AsyncIterator[Pair]:
    pair = Pair(queue)
    await pair.queue.open()
    await pair.state.open()
    await pair.driver.open()
    try:
        yield pair
    finally:
        await pair.driver.close()
        await pair.state.close()
        await pair.queue.close()


async def check_a_copy_of_an_ended_message_is_removed_unrun(pair: Pair) -> None:
    message = await pair.enqueue()
    [delivery] = await pair.reserve()
    assert await pair.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    await pair.queue.enqueue([message])
    assert await pair.reserve() == []
    counts = await pair.queue.count(QUEUE)
    assert (counts.ready, counts.leased) == (0, 0)


async def check_an_expired_message_is_never_run_although_the_state_store_failed(
    pair: Pair,
) -> None:
    message = await pair.enqueue(expires=50.0)
    pair.move_clock(51.0)
    pair.calls.fail("state.finish", done=False)
    with pytest.raises(DriverUnavailable):
        await pair.reserve()
    assert await pair.reserve() == []
    [outcome] = await pair.driver.results([message.id])
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (State.DEAD, Reason.EXPIRED)
    counts = await pair.queue.count(QUEUE)
    assert (counts.ready, counts.leased) == (0, 0)
