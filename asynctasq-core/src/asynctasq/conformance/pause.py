"""PAUSE: workers receive no messages of a paused queue; everything else continues."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, Retry

NEEDS = Capability.PAUSE


@check("", 34, needs=NEEDS)
async def paused_queue_is_not_reserved_from(harness: Harness) -> None:
    await harness.pauser.pause(harness.queue)
    message = await harness.enqueue()
    other = await harness.enqueue(queue=random_name("open"))
    got = await harness.clone.reserve(
        {harness.queue: 5, other.queue: 5}, limit=5, owner=harness.owner, lease=LEASE
    )
    expect_equal([d.message.id for d in got], [other.id], "what is not paused")
    await harness.expect_counts(ready=1)
    await harness.pauser.resume(harness.queue)
    expect_equal((await harness.lease()).message.id, message.id, "what was paused")


@check("", 34, needs=NEEDS)
async def pause_tells_its_queues(harness: Harness) -> None:
    """Check this for every instance. Pausing or resuming twice has no further effect."""
    names = {harness.queue, random_name("also")}
    for name in [*names, harness.queue]:
        await harness.pauser.pause(name)
    [other] = await harness.open_clones(1)
    harness.clone = other
    expect(names <= await harness.pauser.paused(), "paused queues are not told as paused")
    for _ in range(2):
        await harness.pauser.resume(harness.queue)
    paused = await harness.pauser.paused()
    expect(harness.queue not in paused, "a resumed queue is reported as paused")
    for name in names:
        await harness.pauser.resume(name)


@check("", 34, needs=NEEDS)
async def leases_go_on_while_paused(harness: Harness) -> None:
    await harness.enqueue_count(3)
    first, second, third = await harness.reserve()
    await harness.pauser.pause(harness.queue)
    states = await harness.driver.extend(harness.owner, [first.lease], lease=LEASE)
    expect_equal([state.value for state in states], ["held"], "answer of extend")
    await harness.settle(Complete(first.lease), Retry(second.lease, 0.0, ERROR))
    await harness.expect_counts(leased=1, ready=1)
    await harness.advance(LEASE * 1.5)
    await harness.upkeep()
    await harness.expect_counts(ready=2)
    await harness.expect_nothing_ready("a paused queue delivered a reclaimed message")
    await harness.pauser.resume(harness.queue)
    got = {delivery.message.id for delivery in await harness.reserve()}
    expect_equal(got, {second.message.id, third.message.id}, "what is ready after the pause")


@check("", 34, needs=NEEDS)
async def time_goes_on_while_paused(harness: Harness) -> None:
    await harness.pauser.pause(harness.queue)
    message = await harness.enqueue(delay=100.0)
    await harness.expect_counts(scheduled=1)
    await harness.advance(101)
    await harness.expect_counts(ready=1)
    await harness.expect_nothing_ready("a paused queue delivered a due message")
    await harness.pauser.resume(harness.queue)
    expect_equal((await harness.lease()).message.id, message.id, "the message due while paused")
