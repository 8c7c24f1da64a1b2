"""Check: schedules that do not fire, or whose task is not known."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.errors import UnknownTask
from asynctasq.operations.diagnosis.finding import Finding, Status, listed, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.schedules import ScheduleInfo, first_schedules
from asynctasq.tasks.registry import registry

MOST = 10_000
"""Schedules that are looked at."""


async def check_schedules(subject: Subject, driver: Driver) -> Sequence[Finding]:
    """Report orphaned, paused and unreadable schedules, and those whose task the application does not have."""
    if Capability.SCHEDULES not in driver.capabilities:
        return [not_checked("schedules", "The driver has no schedules.")]
    found = await first_schedules(driver, MOST)
    by_status: dict[str, list[str]] = {}
    for each in found:
        by_status.setdefault(each.status, []).append(each.name)
    findings: list[Finding] = []

    def report(status: Status, names: list[str], what: str, remedy: str) -> None:
        if names:
            findings.append(Finding("schedules", status, f"{what}: {listed(names)}.", remedy))

    report(
        Status.PROBLEM,
        by_status.get("unreadable", []),
        "Definitions that this release cannot read",
        "Upgrade asynctasq, or remove them: asynctasq schedules remove NAME",
    )
    if subject.has_tasks:
        report(
            Status.PROBLEM,
            [each.name for each in found if each.task and not _is_known(each.task)],
            "Schedules of tasks that the application does not have",
            "Import the module of the task, or remove them: asynctasq schedules remove NAME",
        )
        report(
            Status.WARNING,
            [each.name for each in found if each.status == "active" and _is_undeclared(each)],
            "Schedules that the code declares no more, and that fire for a day after their last worker",
            "Remove them: asynctasq schedules remove NAME",
        )
    report(
        Status.WARNING,
        by_status.get("orphaned", []),
        "Orphaned schedules, which no worker has declared for a day and which do not fire",
        "Start a worker that declares them, or remove them: asynctasq schedules remove NAME",
    )
    report(
        Status.WARNING,
        by_status.get("paused", []),
        "Paused schedules",
        "To resume one: asynctasq schedules resume NAME",
    )
    active = len(by_status.get("active", []))
    return findings or [ok("schedules", f"{active:,} active, none is orphaned or paused.")]


def _is_known(task: str) -> bool:
    try:
        registry.find(task)
    except UnknownTask:
        return False
    return True


def _is_undeclared(schedule: ScheduleInfo) -> bool:
    """Return whether a task of the application once declared the schedule, and does not any more."""
    if schedule.declared_by is None or schedule.task is None or not _is_known(schedule.task):
        return False
    return registry.find(schedule.task).timetable is None
