"""`wait`: returns when there may be work, in time, and may be cancelled.

A wait may return early for no reason, so that each check asks again until there is work; but one
that does not return within `PATIENCE` while there is work to be had is broken.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Delivery
from asynctasq.settlement import Complete, Release, Retry

PATIENCE = 10.0
"""Seconds: ten times what a wake-up may take, so that a busy machine fails no driver."""

LONG = 3600.0

SHORT_WAITS = 10
LEAST_FOR_SHORT_WAITS = 0.1
"""Seconds: a wait may return early for no reason, but not every time."""


async def _expect_wake_up(harness: Harness, make_work: Callable[[], Awaitable[object]]) -> Delivery:
    """Wait on the clone, make work, and reserve it as soon as the wait returns."""

    async def consume() -> Delivery:
        while True:
            await harness.clone.wait([harness.queue], timeout=LONG)
            deliveries = await harness.reserve(1, owner=random_name("woken"))
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
async def wait_returns_at_once_when_something_is_ready(harness: Harness) -> None:
    await harness.enqueue()
    async with asyncio.timeout(PATIENCE):
        await harness.clone.wait([harness.name_of_queue("other"), harness.queue], timeout=LONG)
        await harness.clone.wait([harness.queue], timeout=LONG)


@check("", 46)
async def wait_ends_at_its_timeout(harness: Harness) -> None:
    async with asyncio.timeout(PATIENCE):
        await harness.clone.wait([harness.queue], timeout=0.02)
        await harness.clone.wait([harness.queue], timeout=0.0)


async def _expect_no_spinning(harness: Harness) -> None:
    """Check that a worker that waits again and again does not keep a processor busy."""
    started = time.monotonic()
    for _ in range(SHORT_WAITS):
        await harness.clone.wait([harness.queue], timeout=0.05)
    expect(
        time.monotonic() - started > LEAST_FOR_SHORT_WAITS,
        f"{SHORT_WAITS} waits of 0.05 s with nothing to reserve returned at once",
    )


@check("", 46)
async def wait_with_nothing_to_do_does_not_spin(harness: Harness) -> None:
    await harness.enqueue(delay=LEASE)
    await harness.enqueue_and_lease()
    await _expect_no_spinning(harness)


@check("", 34, 46, needs=Capability.PAUSE)
async def wait_on_a_paused_queue_does_not_spin(harness: Harness) -> None:
    await harness.pauser.pause(harness.queue)
    await harness.enqueue()
    await _expect_no_spinning(harness)


@check("b", 46)
async def wait_wakes_on_an_enqueue_by_another_instance(harness: Harness) -> None:
    delivery = await _expect_wake_up(harness, harness.enqueue)
    harness.expect_tries(delivery, attempt=0, lost=0)


@check("b", 46)
async def wait_wakes_on_an_enqueue_by_the_same_instance(harness: Harness) -> None:
    async def enqueue() -> None:
        await harness.clone.enqueue([harness.message()])

    await _expect_wake_up(harness, enqueue)


@check("b", 46)
async def wait_wakes_when_a_message_falls_due(harness: Harness) -> None:
    await harness.enqueue(delay=1000.0)

    async def time_passes() -> None:
        harness.jump(1001)

    await _expect_wake_up(harness, time_passes)


@check("b", 46)
async def wait_wakes_for_a_short_delay(harness: Harness) -> None:
    """Due in the middle of the wait, without any call at that time."""

    async def enqueue() -> None:
        await harness.enqueue(delay=0.2)

    await _expect_wake_up(harness, enqueue)


@check("b", 46)
async def wait_wakes_when_a_lease_ends(harness: Harness) -> None:
    await harness.enqueue_and_lease()

    async def time_passes() -> None:
        await harness.advance(LEASE * 1.5)

    delivery = await _expect_wake_up(harness, time_passes)
    harness.expect_tries(delivery, attempt=0, lost=1)


@check("b", 46)
async def wait_wakes_on_retry_and_release(harness: Harness) -> None:
    await harness.enqueue()
    first = await harness.lease()

    async def retry() -> None:
        await harness.driver.settle([Retry(first.lease, 0.0, ERROR)])

    second = await _expect_wake_up(harness, retry)

    async def release() -> None:
        await harness.driver.settle([Release(second.lease)])

    await _expect_wake_up(harness, release)


@check("b", 34, 46, needs=Capability.PAUSE)
async def wait_wakes_when_a_queue_is_resumed(harness: Harness) -> None:
    await harness.pauser.pause(harness.queue)
    await harness.enqueue()

    async def resume() -> None:
        await harness.pauser.resume(harness.queue)

    await _expect_wake_up(harness, resume)


@check("b", 46)
async def wait_on_several_queues_wakes_for_any(harness: Harness) -> None:
    queues = [random_name("several") for _ in range(3)]
    for name in queues:
        waiting = asyncio.create_task(harness.clone.wait(queues, timeout=LONG))
        try:
            await asyncio.sleep(0.01)
            await harness.enqueue(queue=name)
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
            expect_equal(len(done), 1, f"waits that returned on an enqueue to {name}")
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        delivery = await harness.lease(queue=name)
        await harness.settle(Complete(delivery.lease))


@check("", 41, 46)
async def cancelled_wait_leaves_the_driver_usable(harness: Harness) -> None:
    for _ in range(5):
        waiting = asyncio.create_task(harness.clone.wait([harness.queue], timeout=LONG))
        await asyncio.sleep(0.005)
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        expect_equal(len(done), 1, "waits that ended when cancelled")
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease))
    await _expect_wake_up(harness, harness.enqueue)


@check("", 46)
async def wait_does_not_hold_up_other_calls(harness: Harness) -> None:
    """One instance waits and works at the same time."""
    waiting = asyncio.create_task(
        harness.clone.wait([harness.name_of_queue("quiet")], timeout=LONG)
    )
    try:
        async with asyncio.timeout(PATIENCE):
            delivery = await harness.enqueue_and_lease()
            await harness.clone.extend(harness.owner, [delivery.lease], lease=LEASE)
            await harness.settle(Complete(delivery.lease))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@check("", 46)
async def several_waits_at_once(harness: Harness) -> None:
    waits = [
        asyncio.create_task(harness.clone.wait([harness.queue], timeout=LONG)) for _ in range(3)
    ]
    try:
        await asyncio.sleep(0.01)
        await harness.enqueue()
        done, _ = await asyncio.wait(waits, timeout=PATIENCE)
        expect_equal(len(done), 3, "waits that returned on one enqueue")
    finally:
        for waiting in waits:
            waiting.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
