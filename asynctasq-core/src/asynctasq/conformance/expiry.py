"""Expiry: counted from when a message is first due, until its first start."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, Reason, Release, Retry


@check("i", 18)
async def expired_message_is_never_delivered(harness: Harness) -> None:
    message = await harness.enqueue(expires=500.0)
    fresh = await harness.enqueue()
    await harness.advance(600)
    delivery = await harness.lease()
    expect_equal(delivery.message.id, fresh.id, "the message that has not expired")
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.settle(Complete(delivery.lease))
    await harness.upkeep()
    await harness.expect_dead(message.id, Reason.EXPIRED)


@check("i", 18)
async def not_yet_expired_is_delivered(harness: Harness) -> None:
    message = await harness.enqueue(expires=500.0)
    await harness.advance(400)
    expect_equal((await harness.lease()).message, message, "a message in time")


@check("i", 18)
async def expiry_counts_from_the_time_due(harness: Harness) -> None:
    await harness.enqueue(delay=1000.0, expires=500.0)
    await harness.advance(1400)
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    message = await harness.enqueue(delay=1000.0, expires=500.0)
    await harness.advance(1600)
    await harness.expect_nothing_ready("an expired message was delivered")
    await harness.upkeep()
    await harness.expect_dead(message.id, Reason.EXPIRED)


@check("i", 18)
async def started_message_expires_no_more(harness: Harness) -> None:
    """Check that this also holds after a retry, a release or a lost lease."""
    await harness.enqueue_count(3, expires=100.0)
    retried, released, lost = await harness.reserve()
    await harness.settle(Retry(retried.lease, 200.0, ERROR), Release(released.lease))
    await harness.end_leases()
    again = {delivery.message.id for delivery in await harness.reserve()}
    expected = {delivery.message.id for delivery in (retried, released, lost)}
    expect_equal(again, expected, "messages that had started in time")


@check("i", 18, 39, needs=Capability.EXACT_COUNT)
async def many_expired_messages_do_not_block_a_queue(harness: Harness) -> None:
    await harness.enqueue_count(300, expires=100.0)
    await harness.advance(200)
    fresh = await harness.enqueue()
    got: list[bytes] = []
    for _ in range(10):
        got += [delivery.message.id for delivery in await harness.reserve(10)]
    expect_equal(got, [fresh.id], "what is delivered from behind the expired")
    await harness.expect_counts(leased=1, dead=300)
