"""PURGE: deletes what waits or is dead, as asked, and nothing that runs."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import State
from asynctasq.settlement import Complete, Fail, Reason
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, Kit, expect_equal, random_name

NEEDS = Capability.PURGE


async def _fill(kit: Kit) -> None:
    """One leased, one dead, two ready, three scheduled."""
    await kit.enqueue_count(2)
    _, failing = await kit.reserve()
    await kit.settle(Fail(failing.lease, Reason.FAILED, ERROR))
    await kit.enqueue_count(2)
    await kit.enqueue_count(3, delay=500.0)
    await kit.expect_counts(leased=1, dead=1, ready=2, scheduled=3)


@check("", 35, needs=NEEDS)
async def purge_deletes_the_states_asked_for(kit: Kit) -> None:
    await _fill(kit)
    other = await kit.enqueue(queue=random_name("other"))
    expect_equal(await kit.purger.purge(kit.queue, states=[State.READY]), 2, "ready purged")
    await kit.expect_counts(leased=1, dead=1, scheduled=3)
    expect_equal(await kit.purger.purge(kit.queue, states={State.SCHEDULED}), 3, "scheduled purged")
    await kit.expect_counts(leased=1, dead=1)
    expect_equal(await kit.purger.purge(kit.queue, states=(State.DEAD,)), 1, "dead purged")
    await kit.expect_counts(leased=1)
    await kit.expect_counts(queue=other.queue, ready=1)
    await kit.advance(600)
    await kit.expect_nothing_ready("a purged message was delivered")


@check("", 35, needs=NEEDS)
async def purge_never_takes_what_runs(kit: Kit) -> None:
    await _fill(kit)
    purged = await kit.purger.purge(kit.queue, states=list(State))
    expect_equal(purged, 6, "purged of all states")
    await kit.expect_counts(leased=1)
    await kit.end_leases()
    delivery = await kit.lease()
    await kit.settle(Complete(delivery.lease))
    await kit.expect_counts()


@check("", 2, 35, needs=NEEDS)
async def purge_takes_what_fell_due_as_ready(kit: Kit) -> None:
    await kit.enqueue_count(2, delay=100.0)
    await kit.enqueue(delay=5000.0)
    kit.jump(200)
    expect_equal(await kit.purger.purge(kit.queue, states=[State.READY]), 2, "ready purged")
    await kit.expect_counts(scheduled=1)
    await kit.expect_nothing_ready("a purged message was delivered")


@check("", 35, needs=NEEDS)
async def purge_of_nothing(kit: Kit) -> None:
    await kit.enqueue()
    expect_equal(await kit.purger.purge(kit.queue, states=[]), 0, "purged of no state")
    unused = random_name("unused")
    expect_equal(await kit.purger.purge(unused, states=list(State)), 0, "purged of an unused queue")
    await kit.expect_counts(ready=1)


@check("", 19, 35, needs=NEEDS | Capability.RESULTS)
async def purged_message_is_forgotten(kit: Kit) -> None:
    """No outcome is left behind, and its id may come again."""
    message = await kit.enqueue()
    dead = await kit.enqueue_and_lease(queue=random_name("dead"))
    await kit.settle(Fail(dead.lease, Reason.FAILED, ERROR))
    await kit.purger.purge(kit.queue, states=[State.READY])
    await kit.purger.purge(dead.message.queue, states=[State.DEAD])
    ids = [message.id, dead.message.id]
    expect_equal(await kit.results.results(ids), [None, None], "outcomes of what was purged")
    await kit.enqueue_all([message, dead.message])
