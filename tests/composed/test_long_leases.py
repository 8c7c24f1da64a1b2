"""Tasks that run longer than the queue can lease a message: a note in the state store stands for the lease."""

from collections.abc import AsyncIterator

import pytest

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Mark
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Lease, State
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from tests.composed.queue_driver import QueueDriver
from tests.composed.test_order_of_writes import ERROR, LONG, Shop, failing

LEASE = 1000.0
COPY = 900.0
"""Seconds for which the queue holds a copy back."""


class LimitedQueue(QueueDriver):
    """A queue whose leases have a limit, as those of SQS have."""

    longest_lease = 3000.0


class LongShop(Shop):
    """A shop whose tasks run longer than the queue can lease their messages."""

    queue_class = LimitedQueue

    async def extend(self, lease: Lease) -> LeaseState:
        [state] = await self.driver.extend("w", [lease], lease=LEASE)
        return state

    async def run_on(self, lease: Lease, seconds: float) -> None:
        """Let a task run on, with its lease extended as a worker does it."""
        for _ in range(int(seconds / COPY)):
            self.driver.clock_offset += COPY
            assert await self.extend(lease) is LeaseState.HELD

    async def run_long(self) -> Delivery:
        """Start a task, and let it run until a note stands for its lease."""
        delivery = await self.lease()
        await self.run_on(delivery.lease, 2 * COPY)
        assert await self.mark_of(delivery) is Mark.RUNNING
        return delivery

    async def mark_of(self, delivery: Delivery) -> Mark:
        [mark] = await self.driver.state.marks([delivery.message.id])
        return mark


@pytest.fixture
async def shop() -> AsyncIterator[LongShop]:
    shop = LongShop()
    await shop.driver.open()
    try:
        yield shop
    finally:
        await shop.driver.close()


async def test_a_note_a_copy_and_a_removal_follow_each_other_before_the_limit(
    shop: LongShop,
) -> None:
    delivery = await shop.lease()
    await shop.run_on(delivery.lease, COPY)
    assert await shop.mark_of(delivery) is Mark.NONE
    shop.calls.names.clear()
    await shop.run_on(delivery.lease, COPY)
    writes = [name for name in shop.calls.names if not name.endswith("extend")]
    assert writes == ["state.note", "queue.settle"]
    assert await shop.mark_of(delivery) is Mark.RUNNING


async def test_a_lease_is_held_far_beyond_the_limit_and_its_message_runs_once(
    shop: LongShop,
) -> None:
    delivery = await shop.run_long()
    for _ in range(10):
        await shop.run_on(delivery.lease, COPY)
        assert await shop.reserve() == [], "the copy waits on while the note stands"
    assert await shop.driver.settle([Complete(delivery.lease, b"late")]) == [Settled.DONE]
    assert await shop.state_of(delivery.message) is State.COMPLETED
    shop.driver.clock_offset += COPY
    assert await shop.drain() == []
    assert await shop.queue_counts() == 0, "the queue has removed the copy"


@pytest.mark.parametrize(
    "settlement",
    [
        lambda lease: Complete(lease, b"late"),
        Cancelled,
        lambda lease: Fail(lease, Reason.FAILED, ERROR),
    ],
    ids=["complete", "cancelled", "fail"],
)
@pytest.mark.parametrize("done", [True, False])
async def test_the_end_of_a_long_task_is_recorded_once(
    settlement: type[Cancelled], done: bool, shop: LongShop
) -> None:
    delivery = await shop.run_long()
    shop.calls.fail("state.finish", done=done)
    with pytest.raises(DriverUnavailable):
        await shop.driver.settle([settlement(delivery.lease)])
    assert await shop.driver.settle([settlement(delivery.lease)]) == [Settled.DONE]
    assert await shop.driver.settle([settlement(delivery.lease)]) == [Settled.LOST]
    shop.driver.clock_offset += COPY
    assert await shop.drain() == []
    assert await shop.queue_counts() == 0


@pytest.mark.parametrize("delay", [0.0, 5.0, LONG])
async def test_the_next_attempt_of_a_long_task_is_in_the_state_store(
    delay: float, shop: LongShop
) -> None:
    delivery = await shop.run_long()
    assert await shop.driver.settle([Retry(delivery.lease, delay, ERROR)]) == [Settled.DONE]
    assert await shop.mark_of(delivery) is Mark.MOVED
    shop.driver.clock_offset += delay + COPY
    [again] = await shop.reserve()
    assert (again.message, again.attempt, again.lost) == (delivery.message, 1, 0)
    await shop.driver.settle([Complete(again.lease)])
    shop.driver.clock_offset += COPY
    assert await shop.drain() == []
    assert await shop.queue_counts() == 0


async def test_a_long_task_that_is_released_runs_again_at_once(shop: LongShop) -> None:
    delivery = await shop.run_long()
    assert await shop.driver.settle([Release(delivery.lease)]) == [Settled.DONE]
    [again] = await shop.reserve()
    assert (again.message, again.attempt) == (delivery.message, 0)


@pytest.mark.parametrize(
    ("name", "done"),
    [("state.note", False), ("state.note", True), ("queue.settle", False), ("queue.settle", True)],
)
async def test_a_process_killed_around_each_write_loses_nothing(
    name: str, done: bool, shop: LongShop
) -> None:
    delivery = await shop.lease()
    await shop.run_on(delivery.lease, COPY)
    shop.driver.clock_offset += COPY
    async with failing(shop, name, done=done):
        await shop.extend(delivery.lease)
    await shop.restart()
    assert await shop.drain() == [delivery.message]
    assert await shop.queue_counts() == 0


@pytest.mark.parametrize(
    ("name", "done"), [("state.note", False), ("state.note", True), ("queue.settle", False)]
)
async def test_a_write_that_failed_is_repeated_by_the_next_extension(
    name: str, done: bool, shop: LongShop
) -> None:
    delivery = await shop.lease()
    await shop.run_on(delivery.lease, COPY)
    shop.driver.clock_offset += COPY
    shop.calls.fail(name, done=done)
    assert await shop.extend(delivery.lease) is LeaseState.HELD
    assert await shop.extend(delivery.lease) is LeaseState.HELD
    assert await shop.mark_of(delivery) is Mark.RUNNING
    await shop.run_on(delivery.lease, 4 * COPY)
    assert await shop.reserve() == []
    assert await shop.driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
    assert await shop.drain() == []


async def test_a_retry_after_a_write_that_failed_has_no_copy_beside_it(shop: LongShop) -> None:
    delivery = await shop.lease()
    await shop.run_on(delivery.lease, COPY)
    shop.driver.clock_offset += COPY
    shop.calls.fail("queue.settle", done=True)  # the copy is in the queue, and the answer was lost
    assert await shop.extend(delivery.lease) is LeaseState.HELD
    assert await shop.driver.settle([Retry(delivery.lease, 0.0, ERROR)]) == [Settled.DONE]
    shop.driver.clock_offset += COPY
    assert await shop.drain() == [delivery.message]
    assert await shop.queue_counts() == 0


async def test_a_killed_worker_leaves_a_copy_that_runs_when_the_note_has_run_out(
    shop: LongShop,
) -> None:
    delivery = await shop.run_long()
    await shop.restart()
    [again] = await shop.reserve()
    assert again.message == delivery.message


async def test_a_lease_is_lost_when_its_note_has_run_out(shop: LongShop) -> None:
    delivery = await shop.run_long()
    shop.driver.clock_offset += 2 * LEASE
    [other] = await shop.reserve()
    assert other.message == delivery.message
    assert await shop.extend(delivery.lease) is LeaseState.LOST
    assert await shop.driver.settle([Complete(delivery.lease)]) == [Settled.LOST]
    assert await shop.driver.settle([Complete(other.lease)]) == [Settled.DONE]


async def test_a_lease_is_lost_when_another_copy_has_ended(shop: LongShop) -> None:
    delivery = await shop.run_long()
    await shop.driver.cancel([delivery.message.id])
    shop.driver.clock_offset += COPY
    assert await shop.reserve() == [], "the copy ends as cancelled"
    assert await shop.extend(delivery.lease) is LeaseState.LOST
    assert await shop.state_of(delivery.message) is State.CANCELLED


async def test_a_long_task_is_interrupted_on_request(shop: LongShop) -> None:
    delivery = await shop.run_long()
    assert await shop.driver.cancel([delivery.message.id]) == [CancelOutcome.REQUESTED]
    assert await shop.extend(delivery.lease) is LeaseState.HELD
    assert await shop.driver.cancel_requests("w") == [delivery.lease]
    cancelled: Settlement = Cancelled(delivery.lease)
    assert await shop.driver.settle([cancelled]) == [Settled.DONE]


async def test_the_state_store_may_be_away_for_a_while(shop: LongShop) -> None:
    delivery = await shop.run_long()
    for name in ("state.marks", "state.note"):
        shop.calls.fail(name, done=False)
        with pytest.raises(DriverUnavailable):
            await shop.extend(delivery.lease)
    assert await shop.extend(delivery.lease) is LeaseState.HELD


async def test_the_owner_of_a_long_task_is_ended(shop: LongShop) -> None:
    delivery = await shop.run_long()
    await shop.driver.end_owner("w")
    [again] = await shop.reserve()
    assert again.message == delivery.message
