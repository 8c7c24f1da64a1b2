"""`wait`: returns when there may be work, in time, and may be cancelled.

A wait may return early for no reason, so that each check asks again until there is work; but one
that does not return within `PATIENCE` while there is work to be had is broken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Delivery
from asynctasq.settlement import Complete, Release, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name

PATIENCE = 10.0
"""Seconds: ten times what a wake-up may take, so that a busy machine fails no driver."""

LONG = 3600.0

SHORT_WAITS = 10
LEAST_FOR_SHORT_WAITS = 0.1
"""Seconds: a wait may return early for no reason, but not every time."""


async def _expect_wake_up(kit: Kit, make_work: Callable[[], Awaitable[object]]) -> Delivery:
    """Wait on the twin, make work, and reserve it as soon as the wait returns."""

    async def consume() -> Delivery:
        while True:
            await kit.twin.wait([kit.queue], timeout=LONG)
            deliveries = await kit.reserve(1, owner=random_name("woken"))
            if deliveries:
                return deliveries[0]
            await asyncio.sleep(0.005)

    consumer = asyncio.create_task(consume())
    try:
        await asyncio.sleep(0.05)  # so that it really waits; right either way
        await make_work()
        done, _ = await asyncio.wait([consumer], timeout=PATIENCE)
        if not done:
            raise AssertionError(f"wait did not return within {PATIENCE} s although there is work")
        return consumer.result()
    finally:
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)


@check("b", 46)
async def wait_returns_at_once_when_something_is_ready(kit: Kit) -> None:
    await kit.enqueue()
    async with asyncio.timeout(PATIENCE):
        await kit.twin.wait([random_name("other"), kit.queue], timeout=LONG)
        await kit.twin.wait([kit.queue], timeout=LONG)


@check("", 46)
async def wait_ends_at_its_timeout(kit: Kit) -> None:
    async with asyncio.timeout(PATIENCE):
        await kit.twin.wait([kit.queue], timeout=0.02)
        await kit.twin.wait([kit.queue], timeout=0.0)


async def _expect_no_spinning(kit: Kit) -> None:
    """A worker waits again and again; that must not keep a processor busy."""
    started = time.monotonic()
    for _ in range(SHORT_WAITS):
        await kit.twin.wait([kit.queue], timeout=0.05)
    expect(
        time.monotonic() - started > LEAST_FOR_SHORT_WAITS,
        f"{SHORT_WAITS} waits of 0.05 s with nothing to reserve returned at once",
    )


@check("", 46)
async def wait_with_nothing_to_do_does_not_spin(kit: Kit) -> None:
    await kit.enqueue(delay=LEASE)
    await kit.enqueue_and_lease()
    await _expect_no_spinning(kit)


@check("", 34, 46, needs=Capability.PAUSE)
async def wait_on_a_paused_queue_does_not_spin(kit: Kit) -> None:
    await kit.pauser.pause(kit.queue)
    await kit.enqueue()
    await _expect_no_spinning(kit)


@check("b", 46)
async def wait_wakes_on_an_enqueue_by_another_instance(kit: Kit) -> None:
    delivery = await _expect_wake_up(kit, kit.enqueue)
    kit.expect_tries(delivery, attempt=0, lost=0)


@check("b", 46)
async def wait_wakes_on_an_enqueue_by_the_same_instance(kit: Kit) -> None:
    async def enqueue() -> None:
        await kit.twin.enqueue([kit.message()])

    await _expect_wake_up(kit, enqueue)


@check("b", 46)
async def wait_wakes_when_a_message_falls_due(kit: Kit) -> None:
    await kit.enqueue(delay=1000.0)

    async def time_passes() -> None:
        kit.jump(1001)

    await _expect_wake_up(kit, time_passes)


@check("b", 46)
async def wait_wakes_for_a_short_delay(kit: Kit) -> None:
    """Due in the middle of the wait, with nobody there to say so."""

    async def enqueue() -> None:
        await kit.enqueue(delay=0.2)

    await _expect_wake_up(kit, enqueue)


@check("b", 46)
async def wait_wakes_when_a_lease_ends(kit: Kit) -> None:
    await kit.enqueue_and_lease()

    async def time_passes() -> None:
        await kit.advance(LEASE * 1.5)

    delivery = await _expect_wake_up(kit, time_passes)
    kit.expect_tries(delivery, attempt=0, lost=1)


@check("b", 46)
async def wait_wakes_on_retry_and_release(kit: Kit) -> None:
    await kit.enqueue()
    first = await kit.lease()

    async def retry() -> None:
        await kit.driver.settle([Retry(first.lease, 0.0, ERROR)])

    second = await _expect_wake_up(kit, retry)

    async def release() -> None:
        await kit.driver.settle([Release(second.lease)])

    await _expect_wake_up(kit, release)


@check("b", 34, 46, needs=Capability.PAUSE)
async def wait_wakes_when_a_queue_is_resumed(kit: Kit) -> None:
    await kit.pauser.pause(kit.queue)
    await kit.enqueue()

    async def resume() -> None:
        await kit.pauser.resume(kit.queue)

    await _expect_wake_up(kit, resume)


@check("b", 46)
async def wait_on_several_queues_wakes_for_any(kit: Kit) -> None:
    queues = [random_name("several") for _ in range(3)]
    for name in queues:
        waiting = asyncio.create_task(kit.twin.wait(queues, timeout=LONG))
        try:
            await asyncio.sleep(0.01)
            await kit.enqueue(queue=name)
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
            expect_equal(len(done), 1, f"waits that returned on an enqueue to {name}")
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        delivery = await kit.lease(queue=name)
        await kit.settle(Complete(delivery.lease))


@check("", 41, 46)
async def cancelled_wait_leaves_the_driver_usable(kit: Kit) -> None:
    for _ in range(5):
        waiting = asyncio.create_task(kit.twin.wait([kit.queue], timeout=LONG))
        await asyncio.sleep(0.005)
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        expect_equal(len(done), 1, "waits that ended when cancelled")
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Complete(delivery.lease))
    await _expect_wake_up(kit, kit.enqueue)


@check("", 46)
async def wait_does_not_hold_up_other_calls(kit: Kit) -> None:
    """One instance waits and works at the same time."""
    waiting = asyncio.create_task(kit.twin.wait([random_name("quiet")], timeout=LONG))
    try:
        async with asyncio.timeout(PATIENCE):
            delivery = await kit.enqueue_and_lease()
            await kit.twin.extend(kit.owner, [delivery.lease], lease=LEASE)
            await kit.settle(Complete(delivery.lease))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@check("", 46)
async def several_waits_at_once(kit: Kit) -> None:
    waits = [asyncio.create_task(kit.twin.wait([kit.queue], timeout=LONG)) for _ in range(3)]
    try:
        await asyncio.sleep(0.01)
        await kit.enqueue()
        done, _ = await asyncio.wait(waits, timeout=PATIENCE)
        expect_equal(len(done), 3, "waits that returned on one enqueue")
    finally:
        for waiting in waits:
            waiting.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
