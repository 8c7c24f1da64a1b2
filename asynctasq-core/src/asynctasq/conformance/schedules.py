"""SCHEDULES: schedules are claimed when they are due, and each time fires once."""

import asyncio
from dataclasses import replace

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.conformance.schedule_tools import (
    HOLD,
    change_all,
    claim_due,
    expect_claimed,
    expect_hidden,
    find_one,
    firing_of,
    message_of,
    new_schedule,
    now_of,
    put_new,
    schedules_of,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.schedules import Schedule
from asynctasq.errors import DriverError
from asynctasq.message import OnConflict, Unique
from asynctasq.settlement import Complete

NEEDS = Capability.SCHEDULES


# Claims.


@check("", 74, needs=NEEDS)
async def schedule_is_claimed_when_it_is_due(harness: Harness) -> None:
    """Check that the one which has been due for longest comes first."""
    later, first, second = await put_new(harness, 100, -50, -10)
    await expect_claimed(harness, first, second, about="schedules that are due")
    await expect_hidden(harness, later, why="a schedule was claimed before its time")
    await harness.advance(200)
    await expect_claimed(harness, later, about="schedules that have fallen due")


@check("", 74, needs=NEEDS)
async def claimed_schedule_is_hidden_for_a_while(harness: Harness) -> None:
    [schedule] = await put_new(harness, -1)
    await expect_claimed(harness, schedule, about="schedules that are due")
    await expect_hidden(harness, schedule, why="a schedule was claimed twice")
    await harness.advance(HOLD - 100)
    await expect_hidden(harness, schedule, why="a schedule was claimed twice")
    await harness.advance(200)
    await expect_claimed(harness, schedule, about="schedules whose claimer has died")


@check("", 74, needs=NEEDS)
async def claim_returns_the_schedule_as_it_is(harness: Harness) -> None:
    definition = bytes(range(256)) * 20
    schedule = await new_schedule(
        harness, definition=definition, rhythm="täglich 🚚", declared_by="shop"
    )
    await schedules_of(harness).put_schedules([schedule])
    [claimed] = await claim_due(harness, schedule)
    for known in (claimed, await find_one(harness, schedule)):
        expect_equal(known.definition, definition, "definition")
        expect_equal((known.rhythm, known.declared_by), ("täglich 🚚", "shop"), "text fields")
        expect_equal((known.next_at, known.revision), (schedule.next_at, 1), "time and revision")
        expect_equal((known.paused, known.orphaned, known.fired_at), (False, False, None), "flags")
        now = await now_of(harness)
        expect(now - 60 <= known.seen_at <= now + 60, "seen_at is not the time of the put")


@check("", 74, needs=NEEDS)
async def claim_says_when_the_next_schedule_is_due(harness: Harness) -> None:
    schedules = schedules_of(harness)
    while (made := await schedules.claim_schedules(limit=100, hold=HOLD)).schedules:
        pass
    expect(
        made.next_at is None or made.next_at > made.now,
        "nothing is due, but next_at has passed",
    )
    [soon] = await put_new(harness, 20)
    made = await schedules.claim_schedules(limit=100, hold=HOLD)
    assert made.next_at is not None
    expect(
        made.now < made.next_at <= (soon.next_at or 0.0),
        "next_at is not the time of the next one",
    )
    await harness.advance(100)
    await expect_claimed(harness, soon, about="schedules that have fallen due")
    made = await schedules.claim_schedules(limit=100, hold=HOLD)
    assert made.next_at is not None
    expect(
        made.now < made.next_at <= made.now + HOLD,
        "next_at ignores schedules that are hidden",
    )


@check("", 74, needs=NEEDS)
async def claim_is_limited(harness: Harness) -> None:
    """Check also that a claim of nothing hides nothing."""
    due = await put_new(harness, -3, -2, -1)
    made = await schedules_of(harness).claim_schedules(limit=0, hold=HOLD)
    expect_equal(list(made.schedules), [], "schedules of a claim of nothing")
    got: list[Schedule] = []
    for _ in range(100):
        claimed = await schedules_of(harness).claim_schedules(limit=2, hold=HOLD)
        expect(len(claimed.schedules) <= 2, "claim_schedules returned more than its limit")
        if not claimed.schedules:
            break
        got += claimed.schedules
    names = {each.id for each in due}
    expect_equal([each.id for each in got if each.id in names], [each.id for each in due], "claims")


@check("", 74, 75, needs=NEEDS)
async def concurrent_claims_share_the_schedules(harness: Harness) -> None:
    """Check that each schedule is claimed once, and fires once."""
    due = await put_new(harness, *[-1.0] * 40)
    names = {each.id for each in due}
    fired: list[str] = []

    async def work(number: int) -> None:
        driver = schedules_of(harness, other=bool(number % 2))
        while (made := await driver.claim_schedules(limit=7, hold=HOLD)).schedules:
            mine = [each for each in made.schedules if each.id in names]
            answers = await driver.fire(
                [firing_of(each, message_of(harness, each)) for each in mine]
            )
            fired.extend(each.id for each, done in zip(mine, answers, strict=True) if done)

    await asyncio.gather(*map(work, range(6)))
    expect_equal(sorted(fired), sorted(names), "schedules that fired")
    expect_equal(len(await harness.reserve(100)), 40, "number of messages")


# Firing.


@check("a", 75, needs=NEEDS)
async def firing_enqueues_and_sets_the_next_time(harness: Harness) -> None:
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    messages = [message_of(harness, claimed) for _ in range(2)]
    firing = firing_of(claimed, *messages)
    expect_equal(await schedules_of(harness).fire([firing]), [True], "answer of fire")
    known = await find_one(harness, schedule)
    expect_equal((known.next_at, known.revision), (firing.next_at, 1), "time and revision")
    now = await now_of(harness)
    expect(known.fired_at and now - 60 <= known.fired_at <= now + 60, "fired_at is not now")
    deliveries = await harness.expect_delivered([each.id for each in messages], "messages")
    expect_equal([each.message for each in deliveries], messages, "messages of the firing")
    await expect_hidden(harness, schedule, why="a schedule that fired is still due")
    await harness.advance(20_000)
    await expect_claimed(harness, schedule, about="schedules at their next time")


@check("g", 75, needs=NEEDS)
async def repeated_firing_does_nothing(harness: Harness) -> None:
    """Check this in one call, in two, and from another instance."""
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    firings = [firing_of(claimed, message_of(harness, claimed)) for _ in range(2)]
    expect_equal(await schedules_of(harness).fire(firings), [True, False], "answers of fire")
    expect_equal(
        await schedules_of(harness).fire(firings), [False, False], "answers of a repeated fire"
    )
    expect_equal(
        await schedules_of(harness, other=True).fire(firings), [False] * 2, "answers elsewhere"
    )
    await harness.expect_delivered([firings[0].messages[0].id], "messages")
    expect_equal((await find_one(harness, schedule)).next_at, firings[0].next_at, "next time")


@check("", 75, needs=NEEDS)
async def firings_are_independent(harness: Harness) -> None:
    """Check unknown, changed and skipped ones beside one that fires."""
    good, skipped, gone = await put_new(harness, -3, -2, -1)
    claimed = await claim_due(harness, good, skipped, gone)
    await change_all(harness, "remove", gone)
    one, two, three = (firing_of(each, message_of(harness, each)) for each in claimed)
    wrong_time = replace(one, planned=one.planned - 1.0)
    wrong_revision = replace(one, revision=one.revision + 1)
    firings = [three, wrong_time, wrong_revision, replace(two, messages=()), one]
    answers = await schedules_of(harness).fire(firings)
    expect_equal(answers, [False, False, False, True, True], "answers of fire")
    await harness.expect_delivered([one.messages[0].id], "messages")
    known = await find_one(harness, skipped)
    expect_equal((known.next_at, known.fired_at), (two.next_at, None), "schedule that skipped")
    expect_equal(await schedules_of(harness).fire([]), [], "answer of an empty fire")


@check("", 75, needs=NEEDS)
async def known_message_does_not_stop_a_firing(harness: Harness) -> None:
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    message = message_of(harness, claimed)
    await harness.enqueue_all([message])
    expect_equal(await schedules_of(harness).fire([firing_of(claimed, message)]), [True], "answer")
    await harness.expect_delivered([message.id], "messages")


@check("", 75, needs=NEEDS | Capability.UNIQUE)
async def firing_obeys_unique_keys(harness: Harness) -> None:
    """Check a key that is held, and one whose holder is replaced."""
    schedules = await put_new(harness, -2, -1)
    held = Unique(random_name("key"))
    waiting = Unique(random_name("key"), on_conflict=OnConflict.REPLACE)
    await harness.enqueue(unique=held)
    await harness.enqueue(unique=waiting)
    first, second = await claim_due(harness, *schedules)
    new = harness.message(unique=waiting)
    firings = [
        firing_of(first, harness.message(unique=held)),
        firing_of(second, new),
    ]
    expect_equal(await schedules_of(harness).fire(firings), [True, True], "answers of fire")
    deliveries = await harness.reserve()
    expect_equal(len(deliveries), 2, "number of messages that wait")
    expect(
        new.id in [each.message.id for each in deliveries], "the waiting message was not replaced"
    )
    await harness.settle(*(Complete(each.lease) for each in deliveries))


@check("", 75, needs=NEEDS)
async def invalid_firing_is_refused(harness: Harness) -> None:
    """Check that no schedule has fired then."""
    schedules = await put_new(harness, -2, -1)
    first, second = await claim_due(harness, *schedules)
    good = firing_of(first, message_of(harness, first))
    nan = float("nan")
    for bad in (
        firing_of(second, harness.message(delay=nan)),
        replace(firing_of(second), next_at=nan),
    ):
        try:
            await schedules_of(harness).fire([good, bad])
        except DriverError:
            continue
        raise AssertionError(f"{bad} was accepted")
    await harness.expect_nothing_ready("a message of a refused call was delivered")
    expect_equal(await schedules_of(harness).fire([good]), [True], "answer of fire afterwards")


@check("a", 49, 79, needs=NEEDS, damages=True)
async def damaged_schedule_costs_no_other(harness: Harness) -> None:
    """Check that it is not due, and that it can be listed, written again and removed."""
    schedules = await put_new(harness, -3, -2, -1)
    damaged, *good = schedules
    await harness.damage(damaged.id.encode())
    await expect_claimed(harness, *good, about="schedules beside a damaged one")
    await harness.advance(HOLD + 100)
    claimed = await claim_due(harness, *schedules)
    expect_equal([each.id for each in claimed], [each.id for each in good], "the next claim")
    expect_equal((await find_one(harness, damaged)).definition, b"", "its definition")
    await schedules_of(harness).put_schedules([damaged])
    await expect_claimed(harness, damaged, about="schedules that were written again")
    await harness.damage(damaged.id.encode())
    expect_equal(await change_all(harness, "remove", damaged), [True], "answer of remove")
    expect_equal(
        await schedules_of(harness).find_schedules([damaged.id]), [None], "after the removal"
    )


@check("a", 47, 74, needs=NEEDS, durable=True)
async def schedules_outlive_the_last_instance(harness: Harness) -> None:
    [schedule] = await put_new(harness, -1)
    await asyncio.gather(harness.driver.close(), harness.clone.close())
    harness.driver, harness.clone = await harness.open_clones(2)
    await expect_claimed(harness, schedule, about="schedules after all instances were closed")
