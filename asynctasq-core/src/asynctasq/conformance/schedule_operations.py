"""Calls about schedules for `aborts`: a firing that fails half-way and is repeated loses no message."""

from typing import Any

from asynctasq.conformance.abort_scene import Scene
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.schedules import (
    Firing,
    Schedule,
    ScheduleChange,
    SupportsSchedules,
)

PLANNED = 1e9


def schedules_of(scene: Scene) -> SupportsSchedules | None:
    """Return the driver if it has the flag SCHEDULES. Without it, nothing is checked."""
    driver: object = scene.driver
    has_schedules = Capability.SCHEDULES in scene.driver.capabilities
    return driver if has_schedules and isinstance(driver, SupportsSchedules) else None


async def fire_schedules(scene: Scene) -> Any:
    driver = schedules_of(scene)
    if driver is None:
        return None
    await driver.put_schedules([Schedule("nightly", b"definition", PLANNED, "every 60")])
    await driver.claim_schedules(limit=10, hold=60.0)
    firing = Firing("nightly", 1, PLANNED, PLANNED + 60.0, (scene.first, scene.second))
    await driver.fire([firing])
    assert await driver.fire([firing]) == [False], "a repeated firing has fired"
    [schedule] = await driver.find_schedules(["nightly"])
    assert schedule is not None
    assert (schedule.next_at, schedule.revision) == (PLANNED + 60.0, 1)
    return None


async def change_schedules(scene: Scene) -> Any:
    driver = schedules_of(scene)
    if driver is None:
        return None
    await driver.put_schedules(
        [
            Schedule("paused", b"definition", PLANNED, "every 60", declared_by="shop"),
            Schedule("removed", b"definition", PLANNED),
        ]
    )
    for change in (ScheduleChange.PAUSE, ScheduleChange.ORPHAN, ScheduleChange.SEEN):
        await driver.change_schedules(["paused"], change)
    await driver.change_schedules(["removed"], ScheduleChange.REMOVE)
    page = await driver.schedules()
    assert [(each.id, each.paused) for each in page.items] == [("paused", True)]
    return None
