"""Each row of the order of writes: whatever fails after whichever step, no message is lost or ends twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.driver import EnqueuedPartly
from asynctasq.drivers.composed import ComposedDriver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Lease, Message, State, Unique, new_id
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from tests.composed.failing import Calls, watched
from tests.composed.queue_driver import QueueDriver

ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
LEASE = 1000.0
MOMENT = 2e-6
LONG = 5000.0


class Shop:
    """A composed driver whose process can be killed: its stores stay, what it held in memory is gone."""

    queue_class = QueueDriver

    def __init__(self) -> None:
        self.queue, self.state, self.calls = self.queue_class(), MemoryDriver(), Calls()
        self.driver: ComposedDriver = self._new()

    def _new(self) -> ComposedDriver:
        calls: Any = self.calls
        return ComposedDriver(
            watched(self.queue.clone(), "queue", calls), watched(self.state.clone(), "state", calls)
        )

    async def restart(self) -> None:
        """Kill the process, start another one, and let its leases end."""
        offset = self.driver.clock_offset
        await self.driver.close()
        self.driver = self._new()
        await self.driver.open()
        self.driver.clock_offset = offset + 2 * LEASE
        for lease in (MOMENT, LEASE):
            await self.driver.reserve({"none": 1}, limit=1, owner="upkeep", lease=lease)

    def message(self, **fields: Any) -> Message:
        fields.setdefault("max_lost", 9)
        return Message(new_id(), "emails", "app.send", b"body", **fields)

    async def enqueue(self, **fields: Any) -> Message:
        message = self.message(**fields)
        await self.driver.enqueue([message])
        return message

    async def reserve(self, limit: int = 10) -> list[Delivery]:
        return await self.driver.reserve({"emails": limit}, limit=limit, owner="w", lease=LEASE)

    async def lease(self, **fields: Any) -> Delivery:
        await self.enqueue(**fields)
        [delivery] = await self.reserve()
        return delivery

    async def queue_counts(self) -> int:
        """Return how many messages the queue has."""
        await self.queue.open()
        counts = await self.queue.count("emails")
        return sum(
            each or 0 for each in (counts.ready, counts.scheduled, counts.leased, counts.dead)
        )

    async def state_of(self, message: Message) -> State | None:
        [outcome] = await self.driver.results([message.id])
        return None if outcome is None else outcome.state

    async def drain(self) -> list[Message]:
        """Complete all messages that can be delivered, and return them."""
        found: list[Message] = []
        while deliveries := await self.reserve():
            found += [each.message for each in deliveries]
            await self.driver.settle([Complete(each.lease, b"again") for each in deliveries])
        return found


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    await shop.driver.open()
    try:
        yield shop
    finally:
        await shop.driver.close()


@asynccontextmanager
async def failing(shop: Shop, name: str, *, done: bool) -> AsyncIterator[None]:
    """Let a call fail within the block, whether or not the error comes out of it."""
    shop.calls.fail(name, done=done)
    with suppress(DriverUnavailable):
        yield


ENDS: dict[str, tuple[Callable[[Lease], Settlement], State]] = {
    "complete": (lambda lease: Complete(lease, b"first", about=b"about"), State.COMPLETED),
    "cancelled": (Cancelled, State.CANCELLED),
    "fail": (lambda lease: Fail(lease, Reason.FAILED, ERROR), State.DEAD),
}


@pytest.mark.parametrize("end", ENDS)
async def test_an_end_is_recorded_before_the_queue_removes_the_message(
    end: str, shop: Shop
) -> None:
    make, state = ENDS[end]
    delivery = await shop.lease()
    shop.calls.names.clear()
    assert await shop.driver.settle([make(delivery.lease)]) == [Settled.DONE]
    assert shop.calls.names == ["state.finish", "queue.settle"]
    assert await shop.state_of(delivery.message) is state


@pytest.mark.parametrize("end", ENDS)
async def test_a_message_runs_again_if_its_end_was_not_recorded(end: str, shop: Shop) -> None:
    make, _ = ENDS[end]
    delivery = await shop.lease()
    async with failing(shop, "state.finish", done=False):
        await shop.driver.settle([make(delivery.lease)])
    await shop.restart()
    assert await shop.drain() == [delivery.message]


@pytest.mark.parametrize("end", ENDS)
async def test_a_message_does_not_run_again_if_its_end_was_recorded(end: str, shop: Shop) -> None:
    """The process is killed after `finish`, or the queue is away."""
    make, state = ENDS[end]
    for name, done in (("state.finish", True), ("queue.settle", False)):
        delivery = await shop.lease()
        async with failing(shop, name, done=done):
            await shop.driver.settle([make(delivery.lease)])
        await shop.restart()
        assert await shop.drain() == []
        assert await shop.state_of(delivery.message) is state
        counts = await shop.queue_counts()
        assert counts == 0, "the queue has removed its copy"


@pytest.mark.parametrize("end", ENDS)
async def test_a_repeated_settlement_whose_answer_was_lost_is_done(end: str, shop: Shop) -> None:
    make, _ = ENDS[end]
    delivery = await shop.lease()
    async with failing(shop, "state.finish", done=True):
        await shop.driver.settle([make(delivery.lease)])
    assert await shop.driver.settle([make(delivery.lease)]) == [Settled.DONE]
    assert await shop.driver.settle([make(delivery.lease)]) == [Settled.LOST]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("fails", ["state.adopt", "queue.settle"])
async def test_what_was_settled_before_a_part_of_a_call_failed_is_done_when_it_is_repeated(
    fails: str, done: bool, shop: Shop
) -> None:
    in_state = await shop.lease(priority=9)
    ended, moved, released = [await shop.lease() for _ in range(3)]
    settlements: list[Settlement] = [
        Complete(in_state.lease),
        Complete(ended.lease),
        Retry(moved.lease, LONG, ERROR),
        Release(released.lease),
    ]
    acknowledgements = int(fails == "queue.settle")
    shop.calls.fail(fails, done=done, passes=acknowledgements)
    with pytest.raises(DriverUnavailable):
        await shop.driver.settle(settlements)
    answers = await shop.driver.settle(settlements)
    assert answers[:3] == [Settled.DONE] * 3
    assert answers[3] is (Settled.LOST if done and fails == "queue.settle" else Settled.DONE)
    assert await shop.driver.settle(settlements) == [Settled.LOST] * 4


async def test_the_first_of_two_copies_ends_a_message(shop: Shop) -> None:
    shop.driver.queue.delivers_twice = True  # type: ignore[attr-defined]  # the queue of tests
    message = await shop.enqueue()
    first, second = await shop.reserve()
    assert await shop.driver.settle([Complete(first.lease, b"1")]) == [Settled.DONE]
    assert await shop.driver.settle([Complete(second.lease, b"2")]) == [Settled.LOST]
    [outcome] = await shop.driver.results([message.id])
    assert outcome is not None
    assert outcome.result == b"1"
    assert await shop.drain() == []


async def test_a_dead_letter_is_retried_in_the_state_store(shop: Shop) -> None:
    delivery = await shop.lease()
    await shop.driver.settle([Fail(delivery.lease, Reason.FAILED, ERROR, about=b"about")])
    [letter] = (await shop.driver.dead_letters()).items
    assert (letter.message, letter.attempts) == (delivery.message, 1)
    assert await shop.driver.requeue([delivery.message.id]) == [True]
    assert (await shop.driver.state.count("emails")).ready == 1
    assert await shop.drain() == [delivery.message]
    assert await shop.state_of(delivery.message) is State.COMPLETED


@pytest.mark.parametrize(("name", "done"), [("state.adopt", True), ("queue.settle", False)])
async def test_a_long_retry_moves_a_message_before_the_queue_removes_it(
    name: str, done: bool, shop: Shop
) -> None:
    delivery = await shop.lease()
    async with failing(shop, name, done=done):
        await shop.driver.settle([Retry(delivery.lease, LONG, ERROR)])
    await shop.restart()
    assert await shop.reserve() == [], "the copy of the queue is dropped"
    shop.driver.clock_offset += LONG
    [moved] = await shop.reserve()
    assert (moved.message, moved.attempt, moved.lost) == (delivery.message, 1, 0)
    await shop.driver.settle([Complete(moved.lease)])
    assert await shop.drain() == []


async def test_a_long_retry_that_was_not_recorded_runs_again(shop: Shop) -> None:
    delivery = await shop.lease()
    async with failing(shop, "state.adopt", done=False):
        await shop.driver.settle([Retry(delivery.lease, LONG, ERROR)])
    await shop.restart()
    assert await shop.drain() == [delivery.message]


async def test_a_long_release_moves_a_message_and_counts_nothing(shop: Shop) -> None:
    delivery = await shop.lease()
    assert await shop.driver.settle([Release(delivery.lease, LONG)]) == [Settled.DONE]
    shop.driver.clock_offset += LONG + 1
    [moved] = await shop.reserve()
    assert (moved.message, moved.attempt) == (delivery.message, 0)


@pytest.mark.parametrize(
    "make", [lambda lease: Retry(lease, 5.0, ERROR), lambda lease: Release(lease, 5.0)]
)
async def test_a_short_delay_stays_in_the_queue(make: Any, shop: Shop) -> None:
    delivery = await shop.lease()
    shop.calls.names.clear()
    settlement: Settlement = make(delivery.lease)
    assert await shop.driver.settle([settlement]) == [Settled.DONE]
    assert shop.calls.names == ["queue.settle"]


@pytest.mark.parametrize(("name", "done"), [("state.finish", True), ("queue.settle", False)])
async def test_a_flagged_message_ends_as_cancelled(name: str, done: bool, shop: Shop) -> None:
    message = await shop.enqueue()
    assert await shop.driver.cancel([message.id]) == [CancelOutcome.REQUESTED]
    async with failing(shop, name, done=done):
        assert await shop.reserve() == []
    await shop.restart()
    assert await shop.drain() == []
    assert await shop.state_of(message) is State.CANCELLED


async def test_a_running_message_of_the_queue_is_told_to_its_worker(shop: Shop) -> None:
    delivery = await shop.lease()
    assert await shop.driver.cancel_requests("w") == []
    assert await shop.driver.cancel([delivery.message.id]) == [CancelOutcome.REQUESTED]
    assert await shop.driver.cancel_requests("w") == [delivery.lease]
    assert await shop.driver.cancel_requests("another") == []
    assert await shop.driver.settle([Cancelled(delivery.lease)]) == [Settled.DONE]
    assert await shop.driver.cancel_requests("w") == []


async def test_a_flag_outlives_a_move(shop: Shop) -> None:
    delivery = await shop.lease()
    await shop.driver.cancel([delivery.message.id])
    assert await shop.driver.settle([Retry(delivery.lease, LONG, ERROR)]) == [Settled.DONE]
    assert await shop.state_of(delivery.message) is State.CANCELLED


@pytest.mark.parametrize(
    ("name", "done"), [("state.finish", True), ("queue.settle", False), ("state.finish", False)]
)
async def test_an_expired_message_is_a_dead_letter_of_the_state_store(
    name: str, done: bool, shop: Shop
) -> None:
    message = await shop.enqueue(expires=50.0)
    shop.driver.clock_offset = 100.0
    async with failing(shop, name, done=done):
        assert await shop.reserve() == []
    await shop.restart()
    assert await shop.drain() == []
    [letter] = (await shop.driver.dead_letters()).items
    assert (letter.message, letter.reason) == (message, Reason.EXPIRED)
    assert await shop.queue_counts() == 0


async def test_messages_are_given_back_if_their_marks_are_unknown(shop: Shop) -> None:
    message = await shop.enqueue()
    shop.calls.fail("state.marks", done=False)
    with pytest.raises(DriverUnavailable):
        await shop.reserve()
    [delivery] = await shop.reserve()
    assert (delivery.message, delivery.lost) == (message, 0)


async def test_the_state_store_serves_while_the_queue_is_away(shop: Shop) -> None:
    message = await shop.enqueue(unique=Unique("key"))
    shop.calls.fail("queue.reserve_and_deaths", done=False)
    [delivery] = await shop.reserve()
    assert delivery.message == message


async def test_each_part_of_a_chunk_is_answered_for_itself(shop: Shop) -> None:
    plain, unique = shop.message(), shop.message(unique=Unique("key"))
    shop.calls.fail("queue.enqueue", done=False)
    with pytest.raises(EnqueuedPartly) as caught:
        await shop.driver.enqueue([plain, unique])
    refused, accepted = caught.value.answers
    assert isinstance(refused, DriverUnavailable)
    assert not isinstance(accepted, Exception)
    assert shop.calls.names == ["state.enqueue"]
    again = await shop.driver.enqueue([plain, unique])
    assert [each.created for each in again] == [True, False]
    assert sorted(each.id for each in await shop.drain()) == sorted([plain.id, unique.id])


async def test_plain_messages_are_accepted_while_the_state_store_is_away(shop: Shop) -> None:
    plain, unique = shop.message(), shop.message(unique=Unique("key"))
    shop.calls.fail("state.enqueue", done=False)
    with pytest.raises(EnqueuedPartly) as caught:
        await shop.driver.enqueue([unique, plain])
    assert isinstance(caught.value.answers[0], DriverUnavailable)
    assert await shop.drain() == [plain]


@pytest.mark.parametrize("name", ["queue.extend", "state.extend"])
async def test_leases_of_one_store_are_extended_while_the_other_is_away(
    name: str, shop: Shop
) -> None:
    await shop.enqueue(unique=Unique("key"))
    await shop.enqueue()
    leases = [each.lease for each in await shop.reserve()]
    shop.calls.names.clear()
    async with failing(shop, name, done=False):
        await shop.driver.extend("w", leases, lease=LEASE)
    assert len(shop.calls.names) == 1
    assert await shop.driver.extend("w", leases, lease=LEASE) == [LeaseState.HELD] * 2


async def test_a_thousand_messages_cost_forty_calls_to_the_state_store(shop: Shop) -> None:
    await shop.driver.enqueue([shop.message() for _ in range(1000)])
    shop.calls.names.clear()
    for _ in range(10):
        deliveries = await shop.reserve(100)
        await shop.driver.settle([Complete(each.lease) for each in deliveries])
    assert await shop.queue_counts() == 0
    calls = [name for name in shop.calls.names if name.startswith("state.")]
    assert len(calls) == 40, Counter(calls)


async def test_a_cancelled_wait_interrupts_no_other_call(shop: Shop) -> None:
    """A driver need not expect that any other call than a wait is cancelled."""
    interrupted, began = [], asyncio.Event()
    answers = asyncio.Event()
    state: Any = shop.driver.state
    paused = state.paused

    async def slow() -> frozenset[str]:
        began.set()
        try:
            await answers.wait()
        except asyncio.CancelledError:
            interrupted.append("paused")
            raise
        return frozenset(await paused())

    state.paused = slow
    waiting = asyncio.create_task(shop.driver.wait(["emails"], timeout=30.0))
    await began.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    answers.set()
    await shop.driver.close()
    assert waiting.cancelled()
    assert not interrupted
    await shop.driver.open()
