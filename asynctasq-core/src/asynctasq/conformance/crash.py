"""A store that is stopped hard, and may lose its last writes."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import MOMENT, Harness, expect, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.settlement import Release


@check("c", 9, needs=Capability.FENCED, stops=True)
async def no_token_repeats_after_a_hard_stop(harness: Harness) -> None:
    """Check that no later lease has the token of one that the store has forgotten."""
    message = await harness.enqueue(max_lost=99)
    before: list[int | str] = []
    for _ in range(3):
        delivery = await harness.lease()
        before.append(delivery.lease.token)
        await harness.settle(Release(delivery.lease))
    before.append((await harness.lease()).lease.token)
    await harness.stop_hard()
    await harness.driver.enqueue([message])  # where the store has forgotten that, too
    await harness.end_leases()
    token = (await harness.lease(owner=random_name("later"))).lease.token
    expect(token not in before, f"the token {token!r} was that of a lease before the stop")


@check("a", 47, stops=True, durable=True)
async def store_works_after_a_hard_stop(harness: Harness) -> None:
    await harness.enqueue()
    await harness.stop_hard()
    other = random_name("other")
    message = await harness.enqueue(queue=other)
    await harness.clone.reserve({"": 1}, limit=0, owner=random_name("upkeep"), lease=MOMENT)
    delivery = await harness.lease(queue=other)
    expect(
        delivery.message.id == message.id, "a message enqueued after a hard stop is not delivered"
    )
