"""Outages of the store and jumps of its clock: workers that are alive get the time to renew."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, LeaseState

HELD = LeaseState.HELD
PATIENCE = 10.0
SHORT_LEASE = 0.4
"""Seconds. The pause after an outage that a call with this lease finds is half as long."""


@check("b", 51)
async def own_leases_are_renewed_before_others_are_reclaimed(harness: Harness) -> None:
    """Check that an owner that was stopped for longer than a lease, and reserves first, loses nothing."""
    running = await harness.enqueue_and_lease(max_lost=0)
    await harness.advance(LEASE * 1.5)
    await harness.enqueue()
    another = await harness.lease()
    await harness.expect_counts(leased=2)
    leases = [running.lease, another.lease]
    states = await harness.driver.extend(harness.owner, leases, lease=LEASE)
    expect_equal(states, [HELD, HELD], "answers of extend")
    await harness.expect_nothing_ready("an owner lost a lease by its own reserve")
    await harness.settle(*map(Complete, leases))
    await harness.expect_counts()


@check("b", 52)
async def no_lease_is_reclaimed_right_after_an_outage(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    await harness.expect_nothing_ready("a lease was reclaimed by the first reserve after an outage")
    harness.jump(LEASE * 0.3)
    await harness.expect_nothing_ready("a lease was reclaimed too soon after an outage")
    await harness.expect_counts(leased=1)
    harness.jump(LEASE * 0.3)
    harness.expect_tries(await harness.lease(owner=random_name("other")), attempt=0, lost=1)


@check("b", 52)
async def extend_notices_an_outage_too(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    await harness.driver.extend(random_name("other"), [], lease=LEASE)
    await harness.expect_nothing_ready("a lease was reclaimed right after an outage")
    await harness.expect_counts(leased=1)


@check("b", 52)
async def leases_can_be_renewed_during_the_pause(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    harness.jump(LEASE * 1.5)
    await harness.expect_nothing_ready("a lease was reclaimed right after an outage")
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of extend during the pause")
    harness.jump(LEASE * 0.6)
    await harness.expect_nothing_ready("a lease that was renewed during the pause was reclaimed")
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("b", 10, 52)
async def a_lease_on_its_way_outlives_a_jump_of_the_clock(harness: Harness) -> None:
    """Check that an `extend` releases no lease that looks old because the clock has just jumped.

    Its owner cannot name it yet if the answer of its `reserve` is under way.
    """
    delivery = await harness.enqueue_and_lease(max_lost=0)
    harness.jump(LEASE)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    await harness.expect_nothing_ready("an extend right after a jump of the clock released a lease")
    harness.jump(LEASE * 0.3)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    await harness.expect_nothing_ready("an extend in the pause after a jump released a lease")
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of extend during the pause")
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("b", 10, 52)
async def a_lease_on_its_way_outlives_a_clock_that_is_set_back(harness: Harness) -> None:
    """Check that an `extend` releases no lease that was made before the clock was set back."""
    delivery = await harness.enqueue_and_lease(max_lost=0)
    harness.jump(-1.5 * LEASE)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    await harness.expect_nothing_ready("an extend released a lease after the clock was set back")
    states = await harness.driver.extend(harness.owner, [delivery.lease], lease=LEASE)
    expect_equal(states, [HELD], "answer of extend after the clock was set back")
    await harness.settle(Complete(delivery.lease))
    await harness.expect_gone(delivery.message.id)


@check("b", 10, 52)
async def a_lease_that_never_arrived_is_released_after_the_pause(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease(max_lost=0)
    harness.jump(LEASE)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    harness.jump(LEASE * 0.6)
    await harness.driver.extend(harness.owner, [], lease=LEASE)
    again = await harness.lease(owner=random_name("other"))
    expect_equal(again.message.id, delivery.message.id, "what was released after the pause")
    harness.expect_tries(again, attempt=0, lost=0)


@check("b", 52)
async def an_instance_opened_later_knows_of_the_pause(harness: Harness) -> None:
    """Check that a worker that starts after the outage reclaims nothing either."""
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    await harness.expect_nothing_ready("a lease was reclaimed right after an outage")
    [harness.clone] = await harness.open_clones(1)
    await harness.expect_nothing_ready(
        "an instance that was opened during the pause reclaimed a lease"
    )
    await harness.expect_counts(leased=1)


@check("b", 52, durable=True)
async def the_last_call_is_known_after_reopening(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    await harness.driver.close()
    await harness.clone.close()
    [harness.driver, harness.clone] = await harness.open_clones(2)
    harness.jump(LEASE * 1.5)
    await harness.expect_nothing_ready("a lease was reclaimed right after an outage")
    await harness.expect_counts(leased=1)


@check("b", 1, 18, 52)
async def the_rest_of_upkeep_goes_on_during_the_pause(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    due = await harness.enqueue(delay=500.0)
    await harness.enqueue(expires=500.0)
    harness.jump(LEASE * 1.5)
    delivery = await harness.lease(owner=random_name("other"))
    expect_equal(delivery.message.id, due.id, "what is delivered during the pause")
    await harness.upkeep_by_others()
    await harness.expect_counts(leased=2, dead=1)


@check("b", 52)
async def a_caller_with_long_gaps_reclaims_all_the_same(harness: Harness) -> None:
    """Check that only the first of its late calls counts as the end of an outage."""
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    for _ in range(3):
        harness.jump(LEASE * 0.9)
        deliveries = await harness.reserve(owner=random_name("other"))
        if deliveries:
            return
    raise AssertionError("an ended lease was not reclaimed by three reserves, 0.9 leases apart")


@check("b", 52)
async def ended_leases_of_the_caller_reveal_an_outage(harness: Harness) -> None:
    """Check that a late `reserve` notices an outage by the leases of its own owner."""
    await harness.enqueue_and_lease(max_lost=0)
    harness.jump(LEASE * 1.5)
    caller = random_name("caller")
    await harness.enqueue()
    await harness.lease(owner=caller)
    harness.jump(LEASE * 1.5)
    expect_equal(await harness.reserve(owner=caller), [], "reserve after an outage")
    await harness.expect_counts(leased=2)


@check("b", 46, 52)
async def wait_wakes_when_the_pause_ends(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    owner = random_name("other")
    expect_equal(
        await harness.reserve(owner=owner, lease=SHORT_LEASE), [], "reserve after an outage"
    )

    async def consume() -> None:
        while not await harness.reserve(owner=owner, lease=LEASE):
            await harness.clone.wait([harness.queue], timeout=PATIENCE * 2)

    try:
        async with asyncio.timeout(PATIENCE):
            await consume()
    except TimeoutError:
        raise AssertionError("wait did not return when the pause after an outage ended") from None


@check("b", 52, 53, needs=Capability.WORKERS)
async def owners_are_ended_during_the_pause_too(harness: Harness) -> None:
    await harness.enqueue_and_lease()
    harness.jump(LEASE * 1.5)
    await harness.expect_nothing_ready("a lease was reclaimed right after an outage")
    await harness.workers.end_owner(harness.owner)
    deliveries = await harness.reserve(owner=random_name("other"))
    expect(len(deliveries) == 1, "end_owner did not end a lease during the pause")
