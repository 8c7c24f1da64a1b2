"""Leases, delays and expiry by a clock that no check can move. Each check takes a few seconds."""

import asyncio
import time

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal, random_name
from asynctasq.message import Delivery
from asynctasq.settlement import Complete, LeaseState, Release, Retry

SECONDS = 2.0
"""Length of leases and delays."""
PATIENCE = 2.0
"""Seconds by which an event may be late: the store's one second, and as much for a busy machine."""
LOOK = 0.05
"""Seconds between two looks."""


async def _expect_after(harness: Harness, seconds: float, began: float) -> Delivery:
    """Reserve until a message comes; it must come after `seconds`, and not much later."""
    while True:
        deliveries = await harness.reserve(1, owner=random_name("later"), lease=30.0)
        passed = time.monotonic() - began
        if deliveries:
            expect(passed >= seconds - 0.1, f"delivered {seconds - passed:.2f} s too early")
            return deliveries[0]
        expect(
            passed < seconds + PATIENCE, f"not delivered {passed - seconds:.2f} s after its time"
        )
        await asyncio.sleep(LOOK)


@check("b", 5, 7, real_time=True)
async def lease_ends_in_real_time(harness: Harness) -> None:
    """Check that its message is delivered again, counted as lost, while others reserve all the time."""
    await harness.enqueue()
    began = time.monotonic()
    first = await harness.lease(lease=SECONDS)
    again = await _expect_after(harness, SECONDS, began)
    expect_equal(again.message.id, first.message.id, "message delivered again")
    harness.expect_tries(again, attempt=0, lost=1)


@check("b", 5, real_time=True)
async def extended_lease_holds_in_real_time(harness: Harness) -> None:
    await harness.enqueue()
    delivery = await harness.lease(lease=SECONDS)
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        states = await harness.driver.extend(harness.owner, [delivery.lease], lease=SECONDS)
        expect_equal(states, [LeaseState.HELD], "answer of extend")
        await harness.expect_nothing_ready(
            "a message was taken from an owner that extends its lease"
        )
        await asyncio.sleep(SECONDS / 4)
    await harness.settle(Complete(delivery.lease))


@check("b", 1, real_time=True)
async def delay_in_real_time(harness: Harness) -> None:
    began = time.monotonic()
    message = await harness.enqueue(delay=SECONDS)
    got = await _expect_after(harness, SECONDS, began)
    expect_equal(got.message.id, message.id, "the delayed message")


@check("b", 13, real_time=True)
async def retry_delay_in_real_time(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    began = time.monotonic()
    await harness.settle(Retry(delivery.lease, SECONDS, ERROR))
    again = await _expect_after(harness, SECONDS, began)
    harness.expect_tries(again, attempt=1, lost=0)


@check("b", 15, real_time=True)
async def release_delay_in_real_time(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    began = time.monotonic()
    await harness.settle(Release(delivery.lease, SECONDS))
    again = await _expect_after(harness, SECONDS, began)
    harness.expect_tries(again, attempt=0, lost=0)


@check("", 18, real_time=True)
async def expiry_in_real_time(harness: Harness) -> None:
    """Check that a message is not delivered when its time to start is over."""
    await harness.enqueue(expires=SECONDS / 2)
    await asyncio.sleep(SECONDS)
    await harness.expect_nothing_ready("an expired message was delivered")


@check("b", 10, real_time=True)
async def stray_comes_back_in_real_time(harness: Harness) -> None:
    """Check that a message whose delivery never arrived comes again, although its owner extends."""
    await harness.enqueue_count(2)
    began = time.monotonic()
    stray, kept = await harness.reserve(2, lease=SECONDS)
    while True:
        await harness.driver.extend(harness.owner, [kept.lease], lease=SECONDS)
        deliveries = await harness.reserve(1, owner=random_name("other"), lease=30.0)
        if deliveries:
            break
        passed = time.monotonic() - began
        expect(passed < 2 * SECONDS + PATIENCE, f"not delivered again after {passed:.2f} s")
        await asyncio.sleep(LOOK)
    expect_equal(deliveries[0].message.id, stray.message.id, "message delivered again")


@check("b", 46, real_time=True)
async def wait_returns_when_due_in_real_time(harness: Harness) -> None:
    began = time.monotonic()
    await harness.enqueue(delay=SECONDS)
    while True:
        await harness.clone.wait([harness.queue], timeout=30.0)
        passed = time.monotonic() - began
        expect(
            passed < SECONDS + PATIENCE, f"wait returned {passed - SECONDS:.2f} s after the time"
        )
        if await harness.reserve(1):
            return
        await asyncio.sleep(LOOK)  # a hint may come early
