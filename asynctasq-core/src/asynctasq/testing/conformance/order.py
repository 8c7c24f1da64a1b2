"""Which messages a reserve takes, and in which order."""

from random import Random

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import new_id
from asynctasq.settlement import Release, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect_equal, random_name

FIFO = Capability.FIFO
MANY_DUE = 300
"""More than a driver may make ready in one piece for one message."""


async def _ids_ready(kit: Kit) -> list[bytes]:
    return [delivery.message.id for delivery in await kit.reserve()]


@check("", 4)
async def limit_bounds_a_reserve(kit: Kit) -> None:
    await kit.enqueue_count(10)
    got = await kit.twin.reserve({kit.queue: 50}, limit=4, owner=kit.owner, lease=LEASE)
    expect_equal(len(got), 4, "deliveries with limit=4")
    await kit.expect_counts(ready=6, leased=4)
    got = await kit.twin.reserve({kit.queue: 50}, limit=50, owner=kit.owner, lease=LEASE)
    expect_equal(len(got), 6, "deliveries of the rest")


@check("", 4)
async def cap_bounds_each_queue(kit: Kit) -> None:
    names = [random_name("capped") for _ in range(3)]
    for name in names:
        await kit.enqueue_count(5, queue=name)
    caps = {names[0]: 2, names[1]: 0, names[2]: 4}
    got = await kit.twin.reserve(caps, limit=50, owner=kit.owner, lease=LEASE)
    taken = [sum(d.message.queue == name for d in got) for name in names]
    expect_equal(taken, [2, 0, 4], "taken of each queue")


@check("f", 4)
async def queues_are_served_in_the_order_given(kit: Kit) -> None:
    """Strictly: the second gets only what the first leaves of the limit, whatever the names."""
    low, high = sorted(random_name("served") for _ in range(2))
    for first, second in ((low, high), (high, low)):
        await kit.enqueue_count(3, queue=second, priority=9)
        await kit.enqueue_count(3, queue=first, priority=0)
        got = await kit.twin.reserve({first: 10, second: 10}, limit=4, owner=kit.owner, lease=LEASE)
        expect_equal(
            [d.message.queue for d in got], [first] * 3 + [second], "queues of the deliveries"
        )
        got = await kit.twin.reserve({first: 9, second: 9}, limit=9, owner=kit.owner, lease=LEASE)
        expect_equal(len(got), 2, "deliveries of the rest")


@check("f", 3, needs=Capability.PRIORITY)
async def higher_priority_comes_first(kit: Kit) -> None:
    sent = [kit.message(priority=priority) for priority in (5, 0, 9, 3, 8, 1, 4, 7, 2, 6)]
    await kit.enqueue_all(sent)
    expected = [m.id for m in sorted(sent, key=lambda m: -m.priority)]
    expect_equal(await _ids_ready(kit), expected, "order by priority")


@check("f", 3, needs=Capability.PRIORITY)
async def urgent_latecomer_overtakes(kit: Kit) -> None:
    normal = await kit.enqueue()
    urgent = await kit.enqueue(priority=9)
    late = await kit.enqueue(priority=9, delay=100.0)
    await kit.advance(101)
    # One by one: a driver that only sorts what it has picked would give the same together.
    got = [(await kit.lease()).message.id for _ in range(3)]
    expect_equal(got, [urgent.id, late.id, normal.id], "order by priority")


@check("f", 13, needs=Capability.PRIORITY)
async def urgent_one_of_many_that_fall_due_comes_first(kit: Kit) -> None:
    await kit.enqueue_count(MANY_DUE, priority=3, delay=100.0)
    urgent = await kit.enqueue(priority=9, delay=200.0)
    await kit.advance(201)
    expect_equal((await kit.lease()).message.id, urgent.id, "the first of many that are due")


@check("f", 3, needs=FIFO)
async def first_in_first_out(kit: Kit) -> None:
    sent = [(await kit.enqueue()).id for _ in range(6)]
    got = [(await kit.lease()).message.id for _ in range(3)]
    got += await _ids_ready(kit)
    expect_equal(got, sent, "order of delivery")


def _as_chunk(kit: Kit, ids: list[bytes]) -> list[bytes]:
    """`ids`, which grow, in the order in which to send them as one chunk.

    With ATOMIC all become ready at one moment, and the ids alone give the order, whatever the
    positions. A store that takes a chunk in pieces has a time for each piece: there the order of the
    ids can be asked for only where it is that of the positions, as in all that core sends.
    """
    return Random(20).sample(ids, len(ids)) if kit.has(Capability.ATOMIC) else ids


@check("f", 3, needs=FIFO)
async def within_a_chunk_the_id_decides(kit: Kit) -> None:
    ids = [new_id() for _ in range(20)]
    await kit.enqueue_all([kit.message(id=one) for one in _as_chunk(kit, ids)])
    expect_equal(await _ids_ready(kit), ids, "order within a chunk")


@check("f", 1, 3, needs=FIFO)
async def the_time_due_is_the_place(kit: Kit) -> None:
    """Not the time of the enqueue, and not the moment at which somebody noticed."""
    late = await kit.enqueue(delay=900.0)
    early = await kit.enqueue(delay=300.0)
    middle = await kit.enqueue(delay=600.0)
    await kit.advance(700)
    now = await kit.enqueue()
    await kit.advance(700)
    last = await kit.enqueue()
    expected = [early.id, middle.id, now.id, late.id, last.id]
    expect_equal(await _ids_ready(kit), expected, "order of delivery")


@check("f", 3, needs=FIFO)
async def equal_etas_are_ordered_by_id(kit: Kit) -> None:
    probe = await kit.enqueue_and_lease()
    eta = probe.enqueued_at + 1000.0
    ids = [new_id() for _ in range(8)]
    for one in Random(8).sample(ids, len(ids)):
        await kit.enqueue(id=one, eta=eta)
    await kit.driver.extend(kit.owner, [probe.lease], lease=LEASE * 3)
    await kit.advance(1001)
    expect_equal(await _ids_ready(kit), ids, "order of equal etas")


@check("f", 7, needs=FIFO)
async def reclaimed_message_keeps_its_place(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    later = await kit.enqueue()
    await kit.end_leases()
    last = await kit.enqueue()
    expected = [first.message.id, later.id, last.id]
    expect_equal(await _ids_ready(kit), expected, "order after a reclaim")


@check("f", 15, needs=FIFO)
async def released_message_keeps_its_place(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    later = await kit.enqueue()
    await kit.advance(100)
    await kit.settle(Release(first.lease))
    expect_equal(await _ids_ready(kit), [first.message.id, later.id], "order after a release")


@check("f", 10, needs=FIFO)
async def given_back_message_keeps_its_place(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    later = await kit.enqueue()
    await kit.advance(LEASE * 1.2)
    await kit.driver.extend(kit.owner, [], lease=LEASE)
    expect_equal(await _ids_ready(kit), [first.message.id, later.id], "order after extend")


@check("f", 13, needs=FIFO)
async def retried_message_goes_to_the_end(kit: Kit) -> None:
    """It became ready when it was retried."""
    first = await kit.enqueue_and_lease()
    other = await kit.enqueue()
    await kit.advance(100)
    await kit.settle(Retry(first.lease, 0.0, ERROR))
    await kit.advance(100)
    last = await kit.enqueue()
    expected = [other.id, first.message.id, last.id]
    expect_equal(await _ids_ready(kit), expected, "order after a retry")


@check("f", 13, needs=FIFO)
async def delayed_retry_is_placed_by_its_time(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    await kit.settle(Retry(first.lease, 500.0, ERROR))
    before = await kit.enqueue(delay=400.0)
    after = await kit.enqueue(delay=700.0)
    await kit.advance(800)
    expected = [before.id, first.message.id, after.id]
    expect_equal(await _ids_ready(kit), expected, "order after a delayed retry")


@check("f", 3, needs=FIFO | Capability.PRIORITY)
async def priority_then_time_then_id(kit: Kit) -> None:
    ids = [new_id() for _ in range(3)]
    late = await kit.enqueue(priority=7, delay=100.0)
    await kit.enqueue_all([kit.message(id=one, priority=7) for one in _as_chunk(kit, ids)])
    early_but_low = await kit.enqueue(priority=6)
    await kit.advance(101)
    expected = [*ids, late.id, early_but_low.id]
    expect_equal(await _ids_ready(kit), expected, "order of delivery")
