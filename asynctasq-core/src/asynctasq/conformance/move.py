"""Changes of messages that wait: queue, priority, due time and expiry."""

import asyncio
import time
from math import inf, nan

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.errors import DriverError
from asynctasq.message import OnConflict, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry

NEEDS = Capability.MOVE
PATIENCE = 10.0
"""Seconds within which a wait must return when a message was moved."""


def _now(harness: Harness) -> float:
    return time.time() + harness.elapsed


async def _edit(harness: Harness, ids: list[bytes], changes: Changes, *answers: bool) -> None:
    expect_equal(await harness.mover.edit(ids, changes), list(answers), "answers of edit")


@check("", 88, needs=NEEDS)
async def edit_changes_what_waits(harness: Harness) -> None:
    """Check that running, ended and unknown messages stay as they are, and that a repeated call answers the same."""
    completed = await harness.enqueue_and_lease()
    dead = await harness.enqueue_and_lease()
    await harness.settle(Complete(completed.lease), Fail(dead.lease, Reason.FAILED, ERROR))
    running = await harness.enqueue_and_lease()
    ready = await harness.enqueue()
    scheduled = await harness.enqueue(delay=1000.0)
    target = harness.name_of_queue("target")
    ids = [
        new_id(),
        completed.message.id,
        ready.id,
        running.message.id,
        dead.message.id,
        scheduled.id,
        ready.id,
    ]
    for _ in range(2):
        answers = (False, False, True, False, False, True, True)
        await _edit(harness, ids, Changes(queue=target, priority=7), *answers)
    await harness.expect_counts(leased=1, dead=1)
    await harness.expect_counts(ready=1, scheduled=1, queue=target)
    expect_equal(await harness.mover.edit([], Changes(priority=1)), [], "edit of nothing")
    await harness.settle(Complete(running.lease))
    delivery = await harness.lease(queue=target)
    moved = harness.message(id=ready.id, queue=target, priority=7)
    expect_equal(delivery.message, moved, "a message that was moved")


@check("", 88, needs=NEEDS)
async def edit_of_nothing_changes_nothing(harness: Harness) -> None:
    first, second = await harness.enqueue_count(2)
    await _edit(harness, [second.id, first.id], Changes(), True, True)
    await harness.expect_delivered([first.id, second.id], "messages that were not changed")


@check("a", 89, needs=NEEDS | Capability.COUNTED)
async def edit_keeps_the_past_of_a_message(harness: Harness) -> None:
    """Check attempts, lost leases and the time of the enqueue."""
    message = await harness.enqueue(headers={"trace": "1"}, max_attempts=9, result_ttl=77.0)
    delivery = await harness.lease()
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    await harness.lease()
    await harness.end_leases()
    await harness.upkeep()
    target = harness.name_of_queue("target")
    await _edit(harness, [message.id], Changes(queue=target, priority=9, expires=5000.0), True)
    again = await harness.lease(queue=target)
    harness.expect_tries(again, attempt=1, lost=1)
    expect(again.lease.token != delivery.lease.token, "two leases have one token")
    expect_equal(again.enqueued_at, delivery.enqueued_at, "the time of the enqueue")
    wanted = harness.message(
        id=message.id, queue=target, priority=9, expires=5000.0, headers={"trace": "1"},
        max_attempts=9, result_ttl=77.0,
    )  # fmt: skip
    expect_equal(again.message, wanted, "the message")
    if harness.has(Capability.INSPECT):
        [snapshot] = await harness.inspect.find([message.id])
        expect_equal(snapshot and snapshot.error, ERROR, "the error of the last attempt")


@check("e", 89, needs=NEEDS | Capability.UNIQUE)
async def edited_message_keeps_its_unique_key(harness: Harness) -> None:
    target = harness.name_of_queue("target")
    for until in UniqueUntil:
        period = 5000.0 if until is UniqueUntil.PERIOD else None
        unique = Unique(f"{harness.queue} {until}", until, OnConflict.SKIP, period)
        message = await harness.enqueue(unique=unique)
        changes = Changes(queue=target, priority=8, due_at=_now(harness) + 50.0)
        await _edit(harness, [message.id], changes, True)
        [answer] = await harness.driver.enqueue([harness.message(unique=unique)])
        expect(not answer.created and answer.id == message.id, gave("the holder", answer))
        await harness.advance(60)
        delivery = await harness.lease(queue=target)
        expect_equal(delivery.message.unique, unique, "the unique key of the message")
        await harness.settle(Complete(delivery.lease))
        [answer] = await harness.driver.enqueue([harness.message(unique=unique)])
        expect_equal(answer.created, period is None, "created, after the end of the holder")


@check("f", 90, needs=NEEDS | Capability.FIFO | Capability.PRIORITY)
async def edited_messages_have_their_new_places(harness: Harness) -> None:
    """Check that priority, due time and ID order them among the others, and none is delivered twice."""
    first, second, third, fourth = await harness.enqueue_count(4)
    await _edit(harness, [third.id], Changes(priority=9), True)
    await _edit(harness, [first.id], Changes(priority=0), True)
    target = harness.name_of_queue("target")
    await _edit(harness, [fourth.id], Changes(queue=target), True)
    await _edit(harness, [fourth.id], Changes(queue=harness.queue), True)
    wanted = [third.id, second.id, fourth.id, first.id]
    deliveries = await harness.expect_delivered(wanted, "the new order")
    await harness.settle(*(Complete(delivery.lease) for delivery in deliveries))
    await harness.expect_counts()
    await harness.expect_counts(queue=target)
    expect_equal(await harness.reserve(queue=target), [], "what is left where it was")


@check("", 90, needs=NEEDS)
async def edit_of_the_due_time(harness: Harness) -> None:
    """Check that a message waits for its new time, or is ready at once if that has passed."""
    ready = await harness.enqueue()
    scheduled = await harness.enqueue(delay=1000.0)
    await _edit(harness, [ready.id], Changes(due_at=_now(harness) + 500.0), True)
    await harness.expect_counts(scheduled=2)
    await harness.expect_nothing_ready("a message was delivered before its new time")
    for _ in range(2):
        await _edit(harness, [scheduled.id], Changes(due_at=0.0), True)
    await harness.expect_counts(ready=1, scheduled=1)
    delivery = await harness.lease()
    expect_equal(delivery.message.id, scheduled.id, "the message that was due at once")
    expect(delivery.due_at >= delivery.enqueued_at, "it was due before it was enqueued")
    await harness.settle(Complete(delivery.lease))
    await harness.advance(600)
    expect_equal((await harness.lease()).message.id, ready.id, "the message that was put off")
    await harness.expect_counts(leased=1)


@check("f", 90, needs=NEEDS | Capability.FIFO)
async def due_time_that_has_passed_leaves_a_ready_message_at_its_place(harness: Harness) -> None:
    first, second = await harness.enqueue_count(2)
    await _edit(harness, [second.id], Changes(due_at=1.0), True)
    await _edit(harness, [first.id], Changes(due_at=_now(harness)), True)
    await harness.expect_delivered([first.id, second.id], "messages that were due already")


@check("i", 91, needs=NEEDS)
async def edit_of_the_expiry(harness: Harness) -> None:
    kept, shortened = await harness.enqueue_count(2, expires=100.0)
    await _edit(harness, [kept.id], Changes(expires=5000.0), True)
    await harness.advance(200)
    delivery = await harness.lease()
    expect_equal(delivery.message.id, kept.id, "the message with a longer expiry")
    await harness.settle(Complete(delivery.lease))
    await harness.upkeep()
    await harness.expect_dead(shortened.id, Reason.EXPIRED)


@check("i", 91, needs=NEEDS)
async def expiry_counts_from_the_new_due_time(harness: Harness) -> None:
    message = await harness.enqueue(expires=100.0)
    await _edit(harness, [message.id], Changes(due_at=_now(harness) + 500.0), True)
    await harness.advance(550)
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    late = await harness.enqueue()
    changes = Changes(due_at=_now(harness) + 50.0, expires=100.0)
    await _edit(harness, [late.id], changes, True)
    await harness.advance(200)
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.upkeep()
    await harness.expect_dead(late.id, Reason.EXPIRED)


@check("i", 91, needs=NEEDS)
async def edit_gives_no_expiry_back(harness: Harness) -> None:
    """Check that a message that was leased in time does not expire unless it gets a new expiry."""
    await harness.enqueue(expires=100.0)
    delivery = await harness.lease()
    await harness.settle(Release(delivery.lease))
    target = harness.name_of_queue("target")
    await _edit(harness, [delivery.lease.id], Changes(queue=target), True)
    await harness.advance(200)
    again = await harness.lease(queue=target)
    await harness.settle(Complete(again.lease))


@check("", 88, 92, needs=NEEDS)
async def edit_after_the_due_time_finds_the_message_ready(harness: Harness) -> None:
    message = await harness.enqueue(delay=100.0)
    harness.jump(200)
    target = harness.name_of_queue("target")
    await _edit(harness, [message.id], Changes(queue=target), True)
    await harness.expect_counts(ready=1, queue=target)
    expect_equal((await harness.lease(queue=target)).message.id, message.id, "what was due")


@check("b", 46, 92, needs=NEEDS)
async def wait_wakes_when_a_message_arrives_by_an_edit(harness: Harness) -> None:
    target = harness.name_of_queue("target")
    for queue, delay, changes in (
        (harness.queue, 0.0, Changes(queue=target)),
        (target, 1000.0, Changes(due_at=0.0)),
    ):
        message = await harness.enqueue(queue=queue, delay=delay)
        waiting = asyncio.create_task(harness.clone.wait([target], timeout=PATIENCE * 3))
        try:
            await asyncio.sleep(0.01)
            await _edit(harness, [message.id], changes, True)
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
            expect_equal(len(done), 1, f"waits that returned on {changes}")
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        delivery = await harness.lease(queue=target)
        await harness.settle(Complete(delivery.lease))


@check("", 54, 88, needs=NEEDS)
async def edit_with_a_number_that_is_not_finite_changes_nothing(harness: Harness) -> None:
    message = await harness.enqueue()
    target = harness.name_of_queue("target")
    for changes in (
        Changes(queue=target, due_at=nan),
        Changes(queue=target, due_at=inf),
        Changes(queue=target, expires=nan),
    ):
        try:
            await harness.mover.edit([message.id], changes)
        except DriverError:
            continue
        raise AssertionError(f"{changes} was accepted")
    await harness.expect_delivered([message.id], "a message that was not changed")


@check("", 49, 88, needs=NEEDS, damages=True)
async def damaged_message_is_not_edited_and_the_others_are(harness: Harness) -> None:
    damaged, *good = await harness.enqueue_count(3)
    await harness.damage(damaged.id)
    target = harness.name_of_queue("target")
    ids = [good[0].id, damaged.id, good[1].id]
    for _ in range(2):
        await _edit(harness, ids, Changes(queue=target), True, False, True)
    await harness.expect_counts(ready=2, queue=target)
    expect_equal(await harness.reserve(), [], "a damaged message was delivered")


@check("", 88, needs=NEEDS | Capability.EXACT_COUNT)
async def edit_of_many(harness: Harness) -> None:
    messages = await harness.enqueue_count(500)
    target = harness.name_of_queue("target")
    ids = [message.id for message in messages]
    await _edit(harness, ids, Changes(queue=target, priority=1), *[True] * 500)
    await harness.expect_counts()
    await harness.expect_counts(ready=500, queue=target)
    if harness.has(Capability.INSPECT):
        listed: list[bytes] = []
        cursor: str | None = None
        while cursor is not None or not listed:
            page = await harness.inspect.browse(State.READY, queue=target, limit=200, cursor=cursor)
            listed += [each.message.id for each in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        expect_equal(sorted(listed), sorted(ids), "messages of the listing")
