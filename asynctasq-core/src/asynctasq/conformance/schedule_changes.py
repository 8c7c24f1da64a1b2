"""SCHEDULES: schedules are put, paused, orphaned, removed and listed."""

from dataclasses import replace

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.conformance.schedule_tools import (
    DAY,
    HOLD,
    change_all,
    claim_due,
    expect_claimed,
    expect_hidden,
    find_one,
    firing_of,
    message_of,
    new_schedule,
    put_new,
    schedules_of,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.errors import DriverError

NEEDS = Capability.SCHEDULES


# Definitions.


@check("", 76, needs=NEEDS)
async def equal_definition_changes_nothing(harness: Harness) -> None:
    """Check that a repeated put keeps the time, the pause and the claim."""
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    again = replace(schedule, next_at=(schedule.next_at or 0.0) + 70.0, declared_by="shop")
    expect_equal(await schedules_of(harness).put_schedules([again, again]), [1, 1], "revisions")
    known = await find_one(harness, schedule)
    expect_equal((known.next_at, known.declared_by), (schedule.next_at, "shop"), "time and owner")
    await expect_hidden(harness, schedule, why="a put ended a claim")
    expect_equal(await schedules_of(harness).fire([firing_of(claimed)]), [True], "answer of fire")
    await change_all(harness, "pause", schedule)
    await schedules_of(harness).put_schedules([again])
    expect((await find_one(harness, schedule)).paused, "a put ended a pause")
    expect_equal(await schedules_of(harness).put_schedules([]), [], "revisions of nothing")


@check("", 76, needs=NEEDS)
async def other_definition_counts_the_revision_up(harness: Harness) -> None:
    """Check that a claim of the former one fires nothing, and the time stays with the rhythm."""
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    changed = replace(schedule, definition=b"other", next_at=(schedule.next_at or 0.0) + 70.0)
    expect_equal(await schedules_of(harness).put_schedules([changed]), [2], "revision")
    firing = firing_of(claimed, message_of(harness, claimed))
    expect_equal(
        await schedules_of(harness).fire([firing]), [False], "answer of a claim of the former one"
    )
    known = await find_one(harness, schedule)
    expect_equal((known.definition, known.next_at), (b"other", schedule.next_at), "after the put")
    [claimed] = await claim_due(harness, schedule)
    expect_equal(claimed.revision, 2, "revision of the claim")
    later = replace(changed, definition=b"third", rhythm="every 70")
    expect_equal(await schedules_of(harness).put_schedules([later]), [3], "revision")
    expect_equal(
        (await find_one(harness, schedule)).next_at, later.next_at, "time with a new rhythm"
    )
    await expect_hidden(harness, schedule, why="a schedule is due before its new time")
    await harness.advance(100)
    await expect_claimed(harness, schedule, about="schedules at their new time")


@check("", 76, needs=NEEDS)
async def invalid_schedule_is_refused(harness: Harness) -> None:
    """Check that the others of the call are not stored either."""
    good = await new_schedule(harness)
    bad = [
        replace(good, id=""),
        replace(good, id="x" * 201),
        replace(good, definition=b""),
        replace(good, definition=b"x" * 65_537),
        replace(good, next_at=float("nan")),
        replace(good, next_at=float("inf")),
    ]
    for each in bad:
        try:
            await schedules_of(harness).put_schedules([good, each])
        except DriverError:
            continue
        raise AssertionError(f"{each} was stored")
    expect_equal(
        await schedules_of(harness).find_schedules([good.id]), [None], "schedule of a refused call"
    )
    largest = replace(good, id="ß" * 187 + random_name(""), definition=b"x" * 65_536)
    expect_equal(
        await schedules_of(harness).put_schedules([largest]), [1], "revision of the largest one"
    )
    expect_equal(
        (await find_one(harness, largest)).definition, largest.definition, "its definition"
    )
    await change_all(harness, "remove", largest)


# Changes.


@check("", 77, needs=NEEDS)
async def paused_schedule_is_not_fired(harness: Harness) -> None:
    due, claimed, later = await put_new(harness, -2, -1, 50)
    claims = await claim_due(harness, due, claimed)
    firing = firing_of(claims[1], message_of(harness, claims[1]))
    for _ in range(2):
        answers = await change_all(harness, "pause", due, claimed, later)
        expect_equal(answers, [True] * 3, "answers of pause")
    expect_equal(
        await schedules_of(harness).fire([firing]), [False], "answer of fire during a pause"
    )
    await harness.advance(HOLD + 100)
    await expect_hidden(harness, due, claimed, later, why="a paused schedule was claimed")
    known = await find_one(harness, later)
    expect_equal((known.paused, known.next_at), (True, later.next_at), "paused schedule")
    for _ in range(2):
        answers = await change_all(harness, "resume", due, claimed, later)
        expect_equal(answers, [True] * 3, "answers of resume")
    await expect_claimed(harness, due, claimed, later, about="schedules after the resume")


@check("", 77, needs=NEEDS)
async def removed_schedule_leaves_its_messages(harness: Harness) -> None:
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    message = message_of(harness, claimed)
    await schedules_of(harness).fire([firing_of(claimed, message)])
    expect_equal(await change_all(harness, "remove", schedule, schedule), [True, False], "answers")
    expect_equal(await schedules_of(harness).find_schedules([schedule.id]), [None], "what is found")
    await harness.advance(20_000)
    await expect_hidden(harness, schedule, why="a removed schedule was claimed")
    await harness.expect_delivered([message.id], "messages of the removed schedule")
    expect_equal(
        await schedules_of(harness).put_schedules([schedule]), [1], "revision of a new one"
    )
    await expect_claimed(harness, schedule, about="schedules that were made again")
    for change in ("pause", "resume", "seen", "orphan", "remove"):
        unknown = await new_schedule(harness)
        expect_equal(await change_all(harness, change, unknown), [False], f"answer of {change}")


@check("", 77, needs=NEEDS)
async def orphaned_schedule_is_not_fired_until_it_is_seen(harness: Harness) -> None:
    """Check also that only one that was not seen for a day can be orphaned."""
    first = await new_schedule(harness, declared_by="shop")
    second = await new_schedule(harness, declared_by="shop")
    stored = await new_schedule(harness)
    await schedules_of(harness).put_schedules([first, second, stored])
    expect_equal(await change_all(harness, "orphan", first, second, stored), [False] * 3, "at once")
    await harness.advance(DAY - 100)
    expect_equal(await change_all(harness, "seen", second), [True], "answer of seen")
    await harness.advance(200)
    claims = await claim_due(harness, first, second, stored)
    answers = await change_all(harness, "orphan", first, second, stored)
    expect_equal(answers, [True, False, False], "answers of orphan")
    expect_equal(await change_all(harness, "orphan", first), [True], "answer of a repeated orphan")
    expect((await find_one(harness, first)).orphaned, "an orphaned schedule is not marked")
    [claimed] = [each for each in claims if each.id == first.id]
    expect_equal(await schedules_of(harness).fire([firing_of(claimed)]), [False], "answer of fire")
    await harness.advance(HOLD + 100)
    await expect_hidden(harness, first, why="an orphaned schedule was claimed")
    for is_put in (False, True):
        await change_all(harness, "orphan", first)
        if is_put:
            await schedules_of(harness).put_schedules([replace(first, next_at=0.0)])
        else:
            await change_all(harness, "seen", first)
        known = await find_one(harness, first)
        expect_equal((known.orphaned, known.next_at), (False, first.next_at), "after it was seen")
        await expect_claimed(harness, first, about="schedules that are declared again")
        await harness.advance(DAY + 100)


# Last times, and listings.


@check("k", 78, needs=NEEDS)
async def finished_schedule_is_kept_for_a_day(harness: Harness) -> None:
    """Check that a put of it within the day does not fire it again."""
    [schedule] = await put_new(harness, -1)
    [claimed] = await claim_due(harness, schedule)
    firing = firing_of(claimed, message_of(harness, claimed), last=True)
    expect_equal(await schedules_of(harness).fire([firing]), [True], "answer of fire")
    expect_equal((await find_one(harness, schedule)).next_at, None, "next time after the last one")
    await harness.advance(DAY - 1000)
    expect_equal(
        await schedules_of(harness).put_schedules([schedule]), [1], "revision of a repeated put"
    )
    await expect_hidden(harness, schedule, why="a schedule was claimed after its last time")
    await harness.advance(2000)
    await expect_hidden(harness, schedule, why="a schedule was claimed after its last time")
    expect_equal(
        await schedules_of(harness).find_schedules([schedule.id]), [None], "schedule after a day"
    )


@check("", 79, needs=NEEDS)
async def schedules_are_listed_by_id(harness: Harness) -> None:
    mine = sorted(each.id for each in await put_new(harness, *[100.0] * 7))
    got: list[str] = []
    cursor = None
    while True:
        page = await schedules_of(harness).schedules(limit=3, cursor=cursor)
        expect(len(page.items) <= 3, "a page has more schedules than its limit")
        got += [each.id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    expect_equal(got, sorted(got), "order of the listing")
    expect_equal([name for name in got if name in mine], mine, "schedules that are listed")
    known = await schedules_of(harness).find_schedules([mine[3], random_name("none"), mine[0]])
    ids = [each and each.id for each in known]
    expect_equal(ids, [mine[3], None, mine[0]], "what find_schedules gives")
    expect_equal(await schedules_of(harness).find_schedules([]), [], "what is found of nothing")
