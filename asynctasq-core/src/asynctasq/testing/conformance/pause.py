"""PAUSE: a paused queue is not reserved from; everything else goes on."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Complete, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name

NEEDS = Capability.PAUSE


@check("", 34, needs=NEEDS)
async def paused_queue_is_not_reserved_from(kit: Kit) -> None:
    await kit.pauser.pause(kit.queue)
    message = await kit.enqueue()
    other = await kit.enqueue(queue=random_name("open"))
    got = await kit.twin.reserve(
        {kit.queue: 5, other.queue: 5}, limit=5, owner=kit.owner, lease=LEASE
    )
    expect_equal([d.message.id for d in got], [other.id], "what is not paused")
    await kit.expect_counts(ready=1)
    await kit.pauser.resume(kit.queue)
    expect_equal((await kit.lease()).message.id, message.id, "what was paused")


@check("", 34, needs=NEEDS)
async def pause_tells_its_queues(kit: Kit) -> None:
    """For every instance; pausing or resuming twice is once."""
    names = {kit.queue, random_name("also")}
    for name in [*names, kit.queue]:
        await kit.pauser.pause(name)
    [other] = await kit.open_twins(1)
    kit.twin = other
    expect(names <= await kit.pauser.paused(), "paused queues are not told as paused")
    for _ in range(2):
        await kit.pauser.resume(kit.queue)
    paused = await kit.pauser.paused()
    expect(kit.queue not in paused, "a resumed queue is told as paused")
    for name in names:
        await kit.pauser.resume(name)


@check("", 34, needs=NEEDS)
async def leases_go_on_while_paused(kit: Kit) -> None:
    await kit.enqueue_count(3)
    first, second, third = await kit.reserve()
    await kit.pauser.pause(kit.queue)
    states = await kit.driver.extend(kit.owner, [first.lease], lease=LEASE)
    expect_equal([state.value for state in states], ["held"], "answer of extend")
    await kit.settle(Complete(first.lease), Retry(second.lease, 0.0, ERROR))
    await kit.expect_counts(leased=1, ready=1)
    await kit.advance(LEASE * 1.5)
    await kit.upkeep()
    await kit.expect_counts(ready=2)
    await kit.expect_nothing_ready("a paused queue delivered a reclaimed message")
    await kit.pauser.resume(kit.queue)
    got = {delivery.message.id for delivery in await kit.reserve()}
    expect_equal(got, {second.message.id, third.message.id}, "what is ready after the pause")


@check("", 34, needs=NEEDS)
async def time_goes_on_while_paused(kit: Kit) -> None:
    await kit.pauser.pause(kit.queue)
    message = await kit.enqueue(delay=100.0)
    await kit.expect_counts(scheduled=1)
    await kit.advance(101)
    await kit.expect_counts(ready=1)
    await kit.expect_nothing_ready("a paused queue delivered a due message")
    await kit.pauser.resume(kit.queue)
    expect_equal((await kit.lease()).message.id, message.id, "the message due while paused")
