"""EVENTS: batches of events, who listens to them, and positions in their stream."""

import asyncio
from collections.abc import Sequence
from typing import cast

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.events import (
    BATCH_BYTES,
    EVENTS_KEPT_FOR,
    LISTENING_SECONDS,
    LONGEST_HOLD,
    EventPage,
    SupportsEvents,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError

NEEDS = Capability.EVENTS
LONG = 30.0
"""Seconds for which a check waits for events that come at once."""


def events_of(driver: Driver) -> SupportsEvents:
    """Return a driver with its methods of EVENTS."""
    return cast("SupportsEvents", driver)  # `check_capabilities` has made sure


def _batches(count: int) -> list[bytes]:
    return [b"\x00\xff" + random_name("batch").encode() for _ in range(count)]


async def _publish(harness: Harness, *batches: bytes, other: bool = False) -> None:
    for batch in batches:
        await events_of(harness.clone if other else harness.driver).publish(batch, 1)


async def _begin(harness: Harness, *, hold: float = LISTENING_SECONDS) -> str:
    """Listen from now on; return the position."""
    page = await events_of(harness.clone).events(None, timeout=LONG, hold=hold)
    expect_equal(list(page.batches), [], "batches of the present")
    return page.cursor


async def _page(harness: Harness, after: str, *, limit: int = 100) -> EventPage:
    return await events_of(harness.clone).events(after, limit=limit, timeout=0.0)


async def _rest(harness: Harness, after: str, *, limit: int = 100) -> list[bytes]:
    """Return all batches after a position, page by page; there must be no gap."""
    found: list[bytes] = []
    for _ in range(1000):  # a broken driver may return pages without an end
        page = await _page(harness, after, limit=limit)
        expect(not page.gap, "a gap was reported where nothing is missing")
        expect(len(page.batches) <= limit, "a page has more batches than its limit")
        if not page.batches:
            return found
        found += [batch.data for batch in page.batches]
        after = page.cursor
    raise AssertionError("pages of events do not end")


def _own(found: Sequence[bytes], batches: Sequence[bytes]) -> list[bytes]:
    return [each for each in found if each in batches]


# Listening.


@check("", 84, needs=NEEDS)
async def listening_lasts_for_its_hold(harness: Harness) -> None:
    harness.jump(LONGEST_HOLD + 1.0)
    driver = events_of(harness.driver)
    expect_equal(await driver.listening(), False, "listening before the first listener")
    await _begin(harness)
    expect_equal(await driver.listening(), True, "listening after a call of events")
    harness.jump(LISTENING_SECONDS - 1.0)
    expect_equal(await driver.listening(), True, "listening shortly before the end")
    harness.jump(2.0)
    expect_equal(await driver.listening(), False, "listening after the end")


@check("", 84, needs=NEEDS)
async def call_without_a_limit_renews_listening(harness: Harness) -> None:
    harness.jump(LONGEST_HOLD + 1.0)
    after = await _begin(harness)
    for _ in range(2):
        harness.jump(LISTENING_SECONDS - 5.0)
        page = await _page(harness, after, limit=0)
        expect_equal((list(page.batches), page.cursor), ([], after), "page without a limit")
    expect_equal(await events_of(harness.driver).listening(), True, "listening after renewals")


@check("", 84, needs=NEEDS)
async def longer_hold_outlasts_a_shorter_one(harness: Harness) -> None:
    harness.jump(LONGEST_HOLD + 1.0)
    after = await _begin(harness, hold=2 * LONGEST_HOLD)
    await events_of(harness.driver).events(after, limit=0, hold=LISTENING_SECONDS)
    harness.jump(LONGEST_HOLD - 5.0)
    expect_equal(await events_of(harness.driver).listening(), True, "listening in a long hold")
    harness.jump(10.0)
    expect_equal(await events_of(harness.driver).listening(), False, "listening after all holds")


# Batches and positions.


@check("", 85, needs=NEEDS)
async def batches_come_in_one_order_to_every_listener(harness: Harness) -> None:
    after = await _begin(harness)
    other = await events_of(harness.driver).events(None, timeout=LONG)
    batches = _batches(6)
    for number, batch in enumerate(batches):
        await _publish(harness, batch, other=number % 2 == 0)
    for start in (after, other.cursor):
        for limit in (100, 1, 4):
            found = await _rest(harness, start, limit=limit)
            expect_equal(_own(found, batches), batches, f"batches in pages of {limit}")


@check("", 85, needs=NEEDS)
async def each_batch_has_the_position_after_it(harness: Harness) -> None:
    after = await _begin(harness)
    batches = _batches(3)
    await _publish(harness, *batches)
    page = await _page(harness, after)
    expect_equal([each.data for each in page.batches], batches, "batches of a page")
    expect_equal(page.batches[-1].cursor, page.cursor, "cursor of a page")
    for number, batch in enumerate(page.batches, 1):
        expect_equal(await _rest(harness, batch.cursor), batches[number:], "batches behind another")


@check("", 85, needs=NEEDS)
async def batch_of_any_bytes_is_returned_whole(harness: Harness) -> None:
    after = await _begin(harness)
    batches = [b"", bytes(range(256)), b"\x00" * 1_000_000]
    for batch in batches:
        await _publish(harness, batch)
    expect_equal(await _rest(harness, after), batches, "batches")


@check("", 85, needs=NEEDS)
async def no_batch_appears_before_one_that_was_read(harness: Harness) -> None:
    """Check this with publishers that commit at the same time: a position never skips one of their batches."""
    after = await _begin(harness)
    clones = [events_of(each) for each in await harness.open_clones(4)]
    batches = _batches(60)

    async def publish(place: int) -> None:
        for batch in batches[place :: len(clones)]:
            await clones[place].publish(batch, 1)

    found: list[bytes] = []
    publishing = asyncio.gather(*(publish(place) for place in range(len(clones))))
    while True:
        is_last = publishing.done()
        page = await events_of(harness.clone).events(after, limit=7, timeout=0.01)
        expect(not page.gap, "a gap was reported where nothing is missing")
        after = page.cursor
        found += [batch.data for batch in page.batches]
        if is_last and not page.batches:
            break
    await publishing
    expect_equal(sorted(_own(found, batches)), sorted(batches), "batches of four publishers")
    for place in range(len(clones)):
        own = batches[place :: len(clones)]
        expect_equal(_own(found, own), own, "batches of one publisher")


@check("", 85, needs=NEEDS)
async def position_of_another_listing_is_refused(harness: Harness) -> None:
    events = events_of(harness.clone)
    for cursor in ("nonsense", "events.i1", "events.n.n", "metrics.i1.i2", "events.tff.i1"):
        try:
            await events.events(cursor)
        except DriverError:
            continue
        raise AssertionError(f"events accepted the cursor {cursor}")


@check("", 85, needs=NEEDS)
async def too_long_batch_is_refused(harness: Harness) -> None:
    after = await _begin(harness)
    try:
        await events_of(harness.driver).publish(b"\x00" * (BATCH_BYTES + 1), 1)
    except DriverError:
        expect_equal(await _rest(harness, after), [], "batches after a refused one")
    else:
        raise AssertionError("publish accepted a batch that is too long")


# Waiting.


@check("", 86, needs=NEEDS)
async def listener_waits_for_a_batch(harness: Harness) -> None:
    after = await _begin(harness)
    for other in (False, True):
        [batch] = _batches(1)

        async def publish(batch: bytes = batch, other: bool = other) -> None:
            await asyncio.sleep(0.05)
            await _publish(harness, batch, other=other)

        publishing = asyncio.create_task(publish())
        found: list[bytes] = []
        async with asyncio.timeout(LONG):
            while not found:
                page = await events_of(harness.clone).events(after, timeout=LONG)
                found += [each.data for each in page.batches]
                after = page.cursor
        await publishing
        expect_equal(found, [batch], "batches that ended the wait")


@check("", 86, needs=NEEDS)
async def wait_for_events_ends_and_can_be_cancelled(harness: Harness) -> None:
    after = await _begin(harness)
    page = await events_of(harness.clone).events(after, timeout=0.05)
    expect_equal((list(page.batches), page.gap), ([], False), "page after the timeout")
    waiting = asyncio.ensure_future(events_of(harness.clone).events(page.cursor, timeout=LONG))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    [batch] = _batches(1)
    await _publish(harness, batch)
    expect_equal(await _rest(harness, page.cursor), [batch], "batches after a cancelled wait")


# Gaps, and what is kept.


@check("", 87, needs=NEEDS)
async def batches_are_kept_for_ten_minutes(harness: Harness) -> None:
    after = await _begin(harness, hold=LONGEST_HOLD)
    batches = _batches(3)
    await _publish(harness, *batches)
    harness.jump(EVENTS_KEPT_FOR - 5.0)
    for _ in range(3):
        await events_of(harness.driver).listening()
    more = _batches(1)
    await _publish(harness, *more)
    expect_equal(await _rest(harness, after), [*batches, *more], "batches within ten minutes")


@check("", 87, needs=NEEDS)
async def dropped_batches_are_a_gap(harness: Harness) -> None:
    after = await _begin(harness, hold=LONGEST_HOLD)
    await _publish(harness, *_batches(3))
    harness.jump(EVENTS_KEPT_FOR - 5.0)
    await _page(harness, after, limit=0)  # keeps listening alive
    harness.jump(10.0)
    for _ in range(3):
        await events_of(harness.driver).listening()
    page = await _page(harness, after)
    expect_equal((list(page.batches), page.gap), ([], True), "page after batches were dropped")
    batches = _batches(2)
    await _publish(harness, *batches)
    expect_equal(await _rest(harness, page.cursor), batches, "batches after the gap")
    page = await _page(harness, after)
    found = [each.data for each in page.batches]
    expect_equal((found, page.gap), (batches, True), "page from the old position")


@check("", 87, needs=NEEDS)
async def time_without_a_listener_is_a_gap(harness: Harness) -> None:
    """Check this although another listener has come meanwhile, and batches from before are still there."""
    harness.jump(LONGEST_HOLD + 1.0)
    after = await _begin(harness)
    batches = _batches(2)
    await _publish(harness, *batches)
    harness.jump(LISTENING_SECONDS + 1.0)
    await events_of(harness.driver).events(None)
    page = await _page(harness, after)
    found = [each.data for each in page.batches]
    expect_equal((found, page.gap), (batches, True), "page after a time without a listener")
    expect_equal(await _rest(harness, page.cursor), [], "batches after the gap")


@check("", 87, needs=NEEDS)
async def renewed_listener_has_no_gap(harness: Harness) -> None:
    after = await _begin(harness)
    batches = _batches(3)
    for batch in batches:
        await _publish(harness, batch)
        harness.jump(LISTENING_SECONDS - 5.0)
        await events_of(harness.driver).events(after, limit=0)
    expect_equal(await _rest(harness, after), batches, "batches of a listener that came back")
