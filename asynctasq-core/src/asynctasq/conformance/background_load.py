"""Background load for checks: messages in every state, as in a store in use."""

from asynctasq.conformance.harness import ERROR, LEASE, Leftovers, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.message import Message, Unique, new_id
from asynctasq.settlement import Complete, Fail, Reason

READY = 12
LEASED = 3
DEAD = 3
COMPLETED = 3
SCHEDULED = 3

_WHILE = LEASE * 9
"""Seconds of leases and delays: longer than most checks move the clock, and over at the cleanup."""


async def fill(driver: Driver, leftovers: Leftovers) -> str:
    """Put messages of every state into a queue of the driver's namespace; gives the queue's name.

    Args:
        driver: open.
        leftovers: told of the queue.
    """
    queue = random_name("neighbour")
    leftovers.queues.add(queue)
    unique = Capability.UNIQUE in driver.capabilities
    await driver.enqueue(
        [
            Message(new_id(), queue, "shop.ship", b"body", priority=9, max_lost=99)
            for _ in range(READY + LEASED + DEAD + COMPLETED)
        ]
    )
    await driver.enqueue(
        [
            Message(
                new_id(),
                queue,
                "shop.ship",
                b"body",
                delay=_WHILE,
                unique=Unique(random_name("key")) if unique else None,
            )
            for _ in range(SCHEDULED)
        ]
    )
    most = LEASED + DEAD + COMPLETED
    deliveries = await driver.reserve(
        {queue: most}, limit=most, owner=random_name("neighbour"), lease=_WHILE
    )
    leases = [delivery.lease for delivery in deliveries]
    await driver.settle(
        [
            *(Fail(lease, Reason.FAILED, ERROR) for lease in leases[:DEAD]),
            *(Complete(lease, b"result") for lease in leases[DEAD : DEAD + COMPLETED]),
        ]
    )
    return queue


async def expect_unharmed(driver: Driver, queue: str) -> None:
    """Check that the messages in another namespace are there, unchanged.

    Args:
        driver: open; its clock was not moved.
        queue: that was filled.

    Raises:
        AssertionError: something was changed.
    """
    if Capability.EXACT_COUNT in driver.capabilities:
        expect_equal(
            await driver.count(queue),
            QueueCounts(ready=READY, scheduled=SCHEDULED, leased=LEASED, dead=DEAD),
            "counts of a queue in another namespace, after the check",
        )
