"""The choice and the order of messages in a reserve."""

from random import Random

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import new_id
from asynctasq.settlement import Release, Retry

FIFO = Capability.FIFO
MANY_DUE = 300
"""Number of messages that exceeds one piece of upkeep."""


async def _ids_ready(harness: Harness) -> list[bytes]:
    return [delivery.message.id for delivery in await harness.reserve()]


@check("", 4)
async def limit_bounds_a_reserve(harness: Harness) -> None:
    await harness.enqueue_count(10)
    got = await harness.clone.reserve(
        {harness.queue: 50}, limit=4, owner=harness.owner, lease=LEASE
    )
    expect_equal(len(got), 4, "deliveries with limit=4")
    await harness.expect_counts(ready=6, leased=4)
    got = await harness.clone.reserve(
        {harness.queue: 50}, limit=50, owner=harness.owner, lease=LEASE
    )
    expect_equal(len(got), 6, "deliveries of the rest")


@check("", 4)
async def cap_bounds_each_queue(harness: Harness) -> None:
    names = [random_name("capped") for _ in range(3)]
    for name in names:
        await harness.enqueue_count(5, queue=name)
    caps = {names[0]: 2, names[1]: 0, names[2]: 4}
    got = await harness.clone.reserve(caps, limit=50, owner=harness.owner, lease=LEASE)
    taken = [sum(d.message.queue == name for d in got) for name in names]
    expect_equal(taken, [2, 0, 4], "taken of each queue")


@check("f", 4)
async def queues_are_served_in_the_order_given(harness: Harness) -> None:
    """Check that the second queue gets only the rest of the limit, independent of the names."""
    low, high = sorted(random_name("served") for _ in range(2))
    for first, second in ((low, high), (high, low)):
        await harness.enqueue_count(3, queue=second, priority=9)
        await harness.enqueue_count(3, queue=first, priority=0)
        got = await harness.clone.reserve(
            {first: 10, second: 10}, limit=4, owner=harness.owner, lease=LEASE
        )
        expect_equal(
            [d.message.queue for d in got], [first] * 3 + [second], "queues of the deliveries"
        )
        got = await harness.clone.reserve(
            {first: 9, second: 9}, limit=9, owner=harness.owner, lease=LEASE
        )
        expect_equal(len(got), 2, "deliveries of the rest")


@check("f", 3, needs=Capability.PRIORITY)
async def higher_priority_comes_first(harness: Harness) -> None:
    sent = [harness.message(priority=priority) for priority in (5, 0, 9, 3, 8, 1, 4, 7, 2, 6)]
    await harness.enqueue_all(sent)
    expected = [m.id for m in sorted(sent, key=lambda m: -m.priority)]
    expect_equal(await _ids_ready(harness), expected, "order by priority")


@check("f", 3, needs=Capability.PRIORITY)
async def urgent_latecomer_overtakes(harness: Harness) -> None:
    normal = await harness.enqueue()
    urgent = await harness.enqueue(priority=9)
    late = await harness.enqueue(priority=9, delay=100.0)
    await harness.advance(101)
    # One by one: a driver that only sorts what it has picked would give the same together.
    got = [(await harness.lease()).message.id for _ in range(3)]
    expect_equal(got, [urgent.id, late.id, normal.id], "order by priority")


@check("f", 13, needs=Capability.PRIORITY)
async def urgent_one_of_many_that_fall_due_comes_first(harness: Harness) -> None:
    await harness.enqueue_count(MANY_DUE, priority=3, delay=100.0)
    urgent = await harness.enqueue(priority=9, delay=200.0)
    await harness.advance(201)
    expect_equal((await harness.lease()).message.id, urgent.id, "the first of many that are due")


@check("f", 3, needs=FIFO)
async def first_in_first_out(harness: Harness) -> None:
    sent = [(await harness.enqueue()).id for _ in range(6)]
    got = [(await harness.lease()).message.id for _ in range(3)]
    got += await _ids_ready(harness)
    expect_equal(got, sent, "order of delivery")


def _as_chunk(harness: Harness, ids: list[bytes]) -> list[bytes]:
    """`ids`, which grow, in the order in which to send them as one chunk.

    With ATOMIC all become ready at one moment, and the ids alone give the order, whatever the
    positions. A store that takes a chunk in pieces has a time for each piece: there the order of the
    ids can be asked for only where it is that of the positions, as in all that core sends.
    """
    return Random(20).sample(ids, len(ids)) if harness.has(Capability.ATOMIC) else ids


@check("f", 3, needs=FIFO)
async def within_a_chunk_the_id_decides(harness: Harness) -> None:
    ids = [new_id() for _ in range(20)]
    await harness.enqueue_all([harness.message(id=one) for one in _as_chunk(harness, ids)])
    expect_equal(await _ids_ready(harness), ids, "order within a chunk")


@check("f", 1, 3, needs=FIFO)
async def the_time_due_is_the_place(harness: Harness) -> None:
    """Check that neither the time of the enqueue nor the moment of the promotion counts."""
    late = await harness.enqueue(delay=900.0)
    early = await harness.enqueue(delay=300.0)
    middle = await harness.enqueue(delay=600.0)
    await harness.advance(700)
    now = await harness.enqueue()
    await harness.advance(700)
    last = await harness.enqueue()
    expected = [early.id, middle.id, now.id, late.id, last.id]
    expect_equal(await _ids_ready(harness), expected, "order of delivery")


@check("f", 3, needs=FIFO)
async def equal_etas_are_ordered_by_id(harness: Harness) -> None:
    probe = await harness.enqueue_and_lease()
    eta = probe.enqueued_at + 1000.0
    ids = [new_id() for _ in range(8)]
    for one in Random(8).sample(ids, len(ids)):
        await harness.enqueue(id=one, eta=eta)
    await harness.driver.extend(harness.owner, [probe.lease], lease=LEASE * 3)
    await harness.advance(1001)
    expect_equal(await _ids_ready(harness), ids, "order of equal etas")


@check("f", 7, needs=FIFO)
async def reclaimed_message_keeps_its_place(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    later = await harness.enqueue()
    await harness.end_leases()
    last = await harness.enqueue()
    expected = [first.message.id, later.id, last.id]
    expect_equal(await _ids_ready(harness), expected, "order after a reclaim")


@check("f", 15, needs=FIFO)
async def released_message_keeps_its_place(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    later = await harness.enqueue()
    await harness.advance(100)
    await harness.settle(Release(first.lease))
    expect_equal(await _ids_ready(harness), [first.message.id, later.id], "order after a release")


@check("f", 10, needs=FIFO)
async def given_back_message_keeps_its_place(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    later = await harness.enqueue()
    await harness.advance(LEASE * 1.2)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    expect_equal(await _ids_ready(harness), [first.message.id, later.id], "order after extend")


@check("f", 13, needs=FIFO)
async def retried_message_goes_to_the_end(harness: Harness) -> None:
    """Check that it became ready when it was retried."""
    first = await harness.enqueue_and_lease()
    other = await harness.enqueue()
    await harness.advance(100)
    await harness.settle(Retry(first.lease, 0.0, ERROR))
    await harness.advance(100)
    last = await harness.enqueue()
    expected = [other.id, first.message.id, last.id]
    expect_equal(await _ids_ready(harness), expected, "order after a retry")


@check("f", 13, needs=FIFO)
async def delayed_retry_is_placed_by_its_time(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    await harness.settle(Retry(first.lease, 500.0, ERROR))
    before = await harness.enqueue(delay=400.0)
    after = await harness.enqueue(delay=700.0)
    await harness.advance(800)
    expected = [before.id, first.message.id, after.id]
    expect_equal(await _ids_ready(harness), expected, "order after a delayed retry")


@check("f", 3, needs=FIFO | Capability.PRIORITY)
async def priority_then_time_then_id(harness: Harness) -> None:
    ids = [new_id() for _ in range(3)]
    late = await harness.enqueue(priority=7, delay=100.0)
    await harness.enqueue_all(
        [harness.message(id=one, priority=7) for one in _as_chunk(harness, ids)]
    )
    early_but_low = await harness.enqueue(priority=6)
    await harness.advance(101)
    expected = [*ids, late.id, early_but_low.id]
    expect_equal(await _ids_ready(harness), expected, "order of delivery")
