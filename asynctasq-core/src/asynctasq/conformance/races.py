"""Many owners at once, in calls that touch the same messages."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import EMPTY, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.message import Delivery, Unique
from asynctasq.settlement import Complete, Settled

OWNERS = 16
EACH = 100
"""Messages of each owner."""


@check("g", 19, 41, needs=Capability.IDEMPOTENT)
async def id_is_known_while_it_is_completed(harness: Harness) -> None:
    """Check that sixteen instances that enqueue an ID while another one completes it add no message."""
    clones = await harness.open_clones(OWNERS)
    for _ in range(5):
        delivery = await harness.enqueue_and_lease()
        answers, *_ = await asyncio.gather(
            asyncio.gather(*(clone.enqueue([delivery.message]) for clone in clones)),
            harness.settle(Complete(delivery.lease)),
        )
        created = sum(answer.created for [answer] in answers)
        expect_equal(created, 0, "enqueues of a known id that created a message")
        await harness.expect_counts()


@check("e", 20, 24, needs=Capability.UNIQUE)
async def chunks_with_the_same_keys_in_opposite_order(harness: Harness) -> None:
    """Check that each key has one holder, that both chunks receive the same one, and that no call fails."""
    first, second = await harness.open_clones(2)
    count = 0
    for _ in range(5):
        keys = [random_name("key") for _ in range(50)]
        one = [harness.message(unique=Unique(key)) for key in keys]
        other = [harness.message(unique=Unique(key)) for key in reversed(keys)]
        told, opposite = await asyncio.gather(first.enqueue(one), second.enqueue(other))
        expect_equal(
            [answer.id for answer in told],
            [answer.id for answer in reversed(opposite)],
            "holders of the keys, as both chunks are told",
        )
        created = sum(answer.created for answer in (*told, *opposite))
        expect_equal(created, len(keys), "messages that were created")
        count += created
    await harness.expect_counts(ready=count)


@check("ac", 11, 41, needs=Capability.FENCED)
async def owners_settle_while_others_cancel_extend_and_reclaim(harness: Harness) -> None:
    """Check that each of sixteen owners can settle a hundred messages, with the answer DONE."""
    clones = await harness.open_clones(OWNERS)
    owners = [random_name("owner") for _ in clones]
    for _ in range(3):
        await harness.enqueue_count((OWNERS + 1) * EACH // 3 + 1)
    dying = await harness.reserve(EACH, owner=random_name("dies"), lease=LEASE / 10)
    held = [
        await clone.reserve({harness.queue: EACH}, limit=EACH, owner=owner, lease=LEASE * 10)
        for clone, owner in zip(clones, owners, strict=True)
    ]
    await harness.advance(LEASE)
    done = asyncio.Event()

    async def disturb(driver: Driver) -> None:
        ids = [delivery.message.id for part in held for delivery in part]
        while not done.is_set():
            if harness.has(Capability.CANCEL):
                await harness.canceller.cancel(ids[::7])
            for owner, part in zip(owners, held, strict=True):
                leases = [delivery.lease for delivery in part]
                await driver.extend(owner, leases, lease=LEASE * 10)
            await driver.reserve({EMPTY: 1}, limit=1, owner=random_name("upkeep"), lease=LEASE)
            await asyncio.sleep(0)

    async def settle(driver: Driver, part: list[Delivery]) -> None:
        answers = await driver.settle([Complete(delivery.lease) for delivery in part])
        expect_equal(answers, [Settled.DONE] * len(part), "answers of settle")

    disturbing = asyncio.create_task(disturb(harness.driver))
    try:
        await asyncio.gather(*map(settle, clones, held))
    finally:
        done.set()
        await disturbing
    await harness.upkeep()
    again = await harness.reserve(EACH * 2)
    lost = {delivery.message.id for delivery in dying}
    expect(
        lost <= {delivery.message.id for delivery in again},
        "messages of an owner that died are not delivered again",
    )
    expect(
        not {delivery.message.id for part in held for delivery in part}
        & {delivery.message.id for delivery in again},
        "messages that were completed are delivered again",
    )
