"""Delay and eta: messages are never early, are ready in time, and are counted in their state."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, Release, Retry


async def _now_of_store(harness: Harness) -> float:
    """Return the store's time, as exactly as the contract reports it."""
    queue = random_name("clock")
    await harness.enqueue(queue=queue)
    delivery = await harness.lease(queue=queue)
    await harness.settle(Complete(delivery.lease))
    return delivery.enqueued_at


@check("b", 1)
async def delayed_message_is_ready_in_time_and_never_early(harness: Harness) -> None:
    message = await harness.enqueue(delay=1000.0)
    await harness.expect_counts(scheduled=1)
    await harness.expect_nothing_ready("a delayed message was delivered at once")
    await harness.advance(990)
    await harness.expect_nothing_ready("a delayed message was delivered 10 s early")
    await harness.expect_counts(scheduled=1)
    await harness.advance(11)
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "the delayed message")
    harness.expect_tries(delivery, attempt=0, lost=0)


@check("b", 1)
async def eta_is_kept(harness: Harness) -> None:
    """Check that `eta` takes precedence over `delay`."""
    eta = await _now_of_store(harness) + 1000.0
    message = await harness.enqueue(eta=eta, delay=50_000.0)
    await harness.advance(990)
    await harness.expect_nothing_ready("a message was delivered before its eta")
    await harness.advance(11)
    expect_equal((await harness.lease()).message, message, "the message whose eta has come")


@check("b", 1)
async def eta_in_the_past_is_now(harness: Harness) -> None:
    message = await harness.enqueue(eta=1_000_000.0)
    await harness.expect_counts(ready=1)
    expect_equal((await harness.lease()).message, message, "the message of the past")


@check("f", 1, 3, needs=Capability.FIFO)
async def eta_in_the_past_does_not_jump_the_queue(harness: Harness) -> None:
    """Check that a message is ready from its enqueue on, however long ago it was due."""
    before = await harness.enqueue()
    late = await harness.enqueue(eta=1_000_000.0)
    got = [(await harness.lease()).message.id for _ in range(2)]
    expect_equal(got, [before.id, late.id], "order of delivery")


@check("b", 1)
async def years_ahead(harness: Harness) -> None:
    year = 365 * 24 * 3600.0
    message = await harness.enqueue(delay=3 * year)
    await harness.advance(2 * year)
    await harness.expect_nothing_ready("a message due in a year was delivered")
    await harness.expect_counts(scheduled=1)
    await harness.advance(year + 100)
    expect_equal((await harness.lease()).message.id, message.id, "the message of three years ago")


@check("b", 2, needs=Capability.EXACT_COUNT)
async def due_message_counts_as_ready_before_anyone_reserves(harness: Harness) -> None:
    await harness.enqueue_count(3, delay=1000.0)
    await harness.enqueue(delay=5000.0)
    harness.jump(1001)
    await harness.expect_counts(ready=3, scheduled=1)


@check("b", 1, 39)
async def due_messages_of_any_queue_come_up(harness: Harness) -> None:
    """Check that a consumer that opened after the enqueue receives them."""
    sent = [await harness.enqueue(delay=500.0) for _ in range(20)]
    await harness.advance(501)
    [late] = await harness.open_clones(1)
    got = await late.reserve({harness.queue: 50}, limit=50, owner=harness.owner, lease=100.0)
    expect_equal(
        sorted(d.message.id for d in got), sorted(m.id for m in sent), "what a newcomer reserves"
    )


@check("b", 39)
async def many_due_messages_are_not_held_back(harness: Harness) -> None:
    """Check that a few reserves return all due messages, although each moves only a bounded number."""
    await harness.enqueue_count(500, delay=500.0)
    await harness.advance(501)
    got: set[bytes] = set()
    for _ in range(20):
        got.update(d.message.id for d in await harness.reserve(100))
    expect(len(got) == 500, f"{len(got)} of 500 due messages were delivered in 20 reserves of 100")


@check("b", 1, 45)
async def delivery_says_when_it_was_due(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    near = abs(first.due_at - first.enqueued_at)
    expect(near < 1.0, f"due_at is {near} s from the enqueue of a message without a delay")
    await harness.settle(Complete(first.lease))
    await harness.enqueue(delay=500.0)
    await harness.advance(800)
    late = await harness.lease()
    after = late.due_at - late.enqueued_at
    expect(499.0 < after < 501.0, f"due_at is {after} s after the enqueue, with a delay of 500 s")
    await harness.settle(Retry(late.lease, 300.0, ERROR))
    await harness.advance(400)
    again = await harness.lease()
    after = again.due_at - first.enqueued_at
    expect(1090.0 < after < 1190.0, f"due_at of a retry is {after} s after the first enqueue")


@check("", 45)
async def delivery_says_whether_it_was_leased_before(harness: Harness) -> None:
    """Check that a delivery is `resumed` after a retry, a release or a lost lease, and not the first time."""
    delivery = await harness.enqueue_and_lease()
    expect_equal(delivery.resumed, False, "resumed at the first delivery")
    await harness.settle(Retry(delivery.lease, 0.0, ERROR))
    delivery = await harness.lease()
    expect_equal(delivery.resumed, True, "resumed after a retry")
    await harness.settle(Release(delivery.lease))
    expect_equal((await harness.lease()).resumed, True, "resumed after a release")
    fresh = await harness.enqueue_and_lease()
    expect_equal(fresh.resumed, False, "resumed at the first delivery of another message")
    await harness.end_leases()
    expect_equal(
        {(await harness.lease()).resumed for _ in range(2)}, {True}, "resumed after a loss"
    )
