"""Claims, firings and schedules that are due in some seconds, for the checks of schedules."""

from dataclasses import replace

from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities.schedules import (
    Firing,
    Schedule,
    ScheduleChange,
    SupportsSchedules,
)
from asynctasq.message import Message, ScheduledRun

HOLD = 500.0
"""Seconds for which claims hide schedules. The clock moves in steps of hundreds."""
DAY = 86_400.0


def schedules_of(harness: Harness, *, other: bool = False) -> SupportsSchedules:
    driver = harness.driver if other else harness.clone
    assert isinstance(driver, SupportsSchedules)  # `check_capabilities` has made sure
    return driver


async def now_of(harness: Harness) -> float:
    """Return the time of the store, in whole seconds."""
    return float(int((await schedules_of(harness).claim_schedules(limit=0, hold=HOLD)).now))


async def new_schedule(harness: Harness, due_in: float | None = -1.0, **fields: object) -> Schedule:
    """Return a schedule that is due in some seconds."""
    next_at = None if due_in is None else await now_of(harness) + due_in
    schedule = Schedule(random_name("schedule"), b"\x00definition", next_at, "every 60")
    return replace(schedule, **fields)  # type: ignore[arg-type]  # values of fields


async def put_new(harness: Harness, *due_in: float) -> list[Schedule]:
    """Store schedules that are due in so many seconds; all must be new."""
    schedules = [await new_schedule(harness, seconds) for seconds in due_in]
    revisions = await schedules_of(harness, other=True).put_schedules(schedules)
    expect_equal(revisions, [1] * len(schedules), "revisions of new schedules")
    return schedules


async def claim_due(
    harness: Harness, *wanted: Schedule, limit: int = 100, other: bool = False
) -> list[Schedule]:
    """Claim schedules; return those that are wanted, as they were claimed."""
    names = {schedule.id for schedule in wanted}
    claim = await schedules_of(harness, other=other).claim_schedules(limit=limit, hold=HOLD)
    expect(len(claim.schedules) <= limit, "claim_schedules returned more than its limit")
    return [each for each in claim.schedules if each.id in names]


async def expect_claimed(harness: Harness, *wanted: Schedule, about: str) -> None:
    claimed = await claim_due(harness, *wanted)
    expect_equal([each.id for each in claimed], [each.id for each in wanted], about)


async def expect_hidden(harness: Harness, *schedules: Schedule, why: str) -> None:
    for other in (False, True):
        expect_equal(await claim_due(harness, *schedules, other=other), [], why)


async def change_all(harness: Harness, change: str, *schedules: Schedule) -> list[bool]:
    names = [schedule.id for schedule in schedules]
    return await schedules_of(harness).change_schedules(names, ScheduleChange(change))


async def find_one(harness: Harness, schedule: Schedule) -> Schedule:
    """Return a schedule that must be known, as it is now."""
    [found] = await schedules_of(harness, other=True).find_schedules([schedule.id])
    assert found is not None, f"{schedule.id} is not known"
    return found


def firing_of(claimed: Schedule, *messages: Message, last: bool = False) -> Firing:
    assert claimed.next_at is not None
    after = None if last else claimed.next_at + 10_000.0
    return Firing(claimed.id, claimed.revision, claimed.next_at, after, messages)


def message_of(harness: Harness, claimed: Schedule) -> Message:
    return harness.message(schedule=ScheduledRun(claimed.id, claimed.next_at or 0.0))
