"""Expiry: counted from when a message is first due, until its first start."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, Reason, Release, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, Kit, expect_equal


@check("i", 18)
async def expired_message_is_never_delivered(kit: Kit) -> None:
    message = await kit.enqueue(expires=500.0)
    fresh = await kit.enqueue()
    await kit.advance(600)
    delivery = await kit.lease()
    expect_equal(delivery.message.id, fresh.id, "the message that has not expired")
    await kit.expect_nothing_ready("an expired message was delivered")
    await kit.settle(Complete(delivery.lease))
    await kit.upkeep()
    await kit.expect_dead(message.id, Reason.EXPIRED)


@check("i", 18)
async def not_yet_expired_is_delivered(kit: Kit) -> None:
    message = await kit.enqueue(expires=500.0)
    await kit.advance(400)
    expect_equal((await kit.lease()).message, message, "a message in time")


@check("i", 18)
async def expiry_counts_from_the_time_due(kit: Kit) -> None:
    await kit.enqueue(delay=1000.0, expires=500.0)
    await kit.advance(1400)
    delivery = await kit.lease()
    await kit.settle(Complete(delivery.lease))
    message = await kit.enqueue(delay=1000.0, expires=500.0)
    await kit.advance(1600)
    await kit.expect_nothing_ready("an expired message was delivered")
    await kit.upkeep()
    await kit.expect_dead(message.id, Reason.EXPIRED)


@check("i", 18)
async def started_message_expires_no_more(kit: Kit) -> None:
    """Neither after a retry, nor a release, nor a lost lease."""
    await kit.enqueue_count(3, expires=100.0)
    retried, released, lost = await kit.reserve()
    await kit.settle(Retry(retried.lease, 200.0, ERROR), Release(released.lease))
    await kit.end_leases()
    again = {delivery.message.id for delivery in await kit.reserve()}
    expected = {delivery.message.id for delivery in (retried, released, lost)}
    expect_equal(again, expected, "messages that had started in time")


@check("i", 18, 39, needs=Capability.EXACT_COUNT)
async def many_expired_messages_do_not_block_a_queue(kit: Kit) -> None:
    await kit.enqueue_count(300, expires=100.0)
    await kit.advance(200)
    fresh = await kit.enqueue()
    got: list[bytes] = []
    for _ in range(10):
        got += [delivery.message.id for delivery in await kit.reserve(10)]
    expect_equal(got, [fresh.id], "what is delivered from behind the expired")
    await kit.expect_counts(leased=1, dead=300)
