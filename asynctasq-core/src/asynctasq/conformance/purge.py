"""PURGE: deletes waiting or dead messages, as requested, and no running ones."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import State
from asynctasq.settlement import Complete, Fail, Reason

NEEDS = Capability.PURGE


async def _fill(harness: Harness) -> None:
    """One leased, one dead, two ready, three scheduled."""
    await harness.enqueue_count(2)
    _, failing = await harness.reserve()
    await harness.settle(Fail(failing.lease, Reason.FAILED, ERROR))
    await harness.enqueue_count(2)
    await harness.enqueue_count(3, delay=500.0)
    await harness.expect_counts(leased=1, dead=1, ready=2, scheduled=3)


@check("", 35, needs=NEEDS)
async def purge_deletes_the_states_asked_for(harness: Harness) -> None:
    await _fill(harness)
    other = await harness.enqueue(queue=random_name("other"))
    expect_equal(await harness.purger.purge(harness.queue, states=[State.READY]), 2, "ready purged")
    await harness.expect_counts(leased=1, dead=1, scheduled=3)
    expect_equal(
        await harness.purger.purge(harness.queue, states={State.SCHEDULED}), 3, "scheduled purged"
    )
    await harness.expect_counts(leased=1, dead=1)
    expect_equal(await harness.purger.purge(harness.queue, states=(State.DEAD,)), 1, "dead purged")
    await harness.expect_counts(leased=1)
    await harness.expect_counts(queue=other.queue, ready=1)
    await harness.advance(600)
    await harness.expect_nothing_ready("a purged message was delivered")


@check("", 35, needs=NEEDS)
async def purge_never_takes_what_runs(harness: Harness) -> None:
    await _fill(harness)
    purged = await harness.purger.purge(harness.queue, states=list(State))
    expect_equal(purged, 6, "purged of all states")
    await harness.expect_counts(leased=1)
    await harness.end_leases()
    delivery = await harness.lease()
    await harness.settle(Complete(delivery.lease))
    await harness.expect_counts()


@check("", 2, 35, needs=NEEDS)
async def purge_takes_what_fell_due_as_ready(harness: Harness) -> None:
    await harness.enqueue_count(2, delay=100.0)
    await harness.enqueue(delay=5000.0)
    harness.jump(200)
    expect_equal(await harness.purger.purge(harness.queue, states=[State.READY]), 2, "ready purged")
    await harness.expect_counts(scheduled=1)
    await harness.expect_nothing_ready("a purged message was delivered")


@check("", 35, needs=NEEDS)
async def purge_of_nothing(harness: Harness) -> None:
    await harness.enqueue()
    expect_equal(await harness.purger.purge(harness.queue, states=[]), 0, "purged of no state")
    unused = random_name("unused")
    expect_equal(
        await harness.purger.purge(unused, states=list(State)), 0, "purged of an unused queue"
    )
    await harness.expect_counts(ready=1)


@check("", 19, 35, needs=NEEDS | Capability.RESULTS)
async def purged_message_is_forgotten(harness: Harness) -> None:
    """Check that no outcome is left, and that the ID can be enqueued again."""
    message = await harness.enqueue()
    dead = await harness.enqueue_and_lease(queue=random_name("dead"))
    await harness.settle(Fail(dead.lease, Reason.FAILED, ERROR))
    await harness.purger.purge(harness.queue, states=[State.READY])
    await harness.purger.purge(dead.message.queue, states=[State.DEAD])
    ids = [message.id, dead.message.id]
    expect_equal(await harness.results.results(ids), [None, None], "outcomes of what was purged")
    await harness.enqueue_all([message, dead.message])


@check("", 35, needs=NEEDS)
async def purge_of_many_deletes_all_of_them(harness: Harness) -> None:
    """Check a purge that takes several pieces."""
    for _ in range(3):
        await harness.enqueue_count(1000)
    kept = await harness.enqueue(queue=random_name("other"))
    purged = await harness.purger.purge(harness.queue, states=[State.READY])
    expect_equal(purged, 3000, "messages purged")
    await harness.expect_counts()
    expect_equal((await harness.lease(queue=kept.queue)).message.id, kept.id, "another queue")
