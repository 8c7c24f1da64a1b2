"""Running all checks."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from asynctasq.contracts.driver import Driver
from asynctasq.errors import (
    AsynctasqError,
    CapabilityMissing,
    DriverUnavailable,
    PluginError,
)
from asynctasq.operations.diagnosis.clock import check_clock
from asynctasq.operations.diagnosis.dead_letters import check_dead_letters
from asynctasq.operations.diagnosis.finding import CHECKS, Finding, Status, not_checked, ok
from asynctasq.operations.diagnosis.outbox import check_outbox
from asynctasq.operations.diagnosis.plugins import check_plugins
from asynctasq.operations.diagnosis.queues import check_paused, check_queues
from asynctasq.operations.diagnosis.rights import check_rights
from asynctasq.operations.diagnosis.schedules import check_schedules
from asynctasq.operations.diagnosis.settings import check_settings
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.diagnosis.tables import check_tables
from asynctasq.operations.diagnosis.version import check_version
from asynctasq.operations.diagnosis.workers import check_workers

CHECK_SECONDS = 15.0
"""The longest time of one check."""

Check = Callable[[], Awaitable[Sequence[Finding]]]


async def diagnose(subject: Subject) -> AsyncIterator[Finding]:
    """Run all checks, and yield their findings in the order of `CHECKS`. Raises nothing."""
    for finding in await _run("settings", lambda: check_settings(subject)):
        yield finding
    for finding in await _run("driver", lambda: check_plugins(subject)):
        yield finding
    driver: Driver | None = None
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            driver = await subject.connect()
    except Exception as error:  # noqa: BLE001  reported as a finding
        yield _failed("store", error)
        is_away = isinstance(error, DriverUnavailable | TimeoutError)
    else:
        took = (time.perf_counter() - began) * 1000
        yield ok("store", f"{subject.place} was reached in {took:.0f} ms.")
        is_away = False
    for name, check in _checks_of_store(subject, driver):
        if driver is None and (is_away or name != "schema"):
            yield not_checked(name, "The store cannot be used.")
            continue
        for finding in await _run(name, check):
            yield finding
    for finding in await _run("outbox", lambda: check_outbox(subject)):
        yield finding


def unusable(error: AsynctasqError) -> list[Finding]:
    """Return the findings about an application that cannot be made, because of its settings or a plugin."""
    failing = "driver" if isinstance(error, PluginError) else "settings"
    return [
        _failed(name, error)
        if name == failing
        else not_checked(name, "The application cannot be loaded.")
        for name in CHECKS
    ]


def _checks_of_store(subject: Subject, driver: Driver | None) -> list[tuple[str, Check]]:
    """Return the checks that need the store. If the driver is None, only that of the schema may run."""
    checks: dict[str, Callable[[Subject, Driver], Awaitable[Sequence[Finding]]]] = {
        "version": check_version,
        "schema": check_tables,
        "rights": check_rights,
        "clock": check_clock,
        "workers": check_workers,
        "queues": check_queues,
        "paused": check_paused,
        "schedules": check_schedules,
        "dead-letters": check_dead_letters,
    }
    opened = driver or subject.stores[0]
    return [(name, partial(check, subject, opened)) for name, check in checks.items()]


async def _run(name: str, check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except CapabilityMissing as error:
        return [not_checked(name, str(error))]
    except Exception as error:  # noqa: BLE001  reported as a finding
        return [_failed(name, error)]


def _failed(name: str, error: BaseException) -> Finding:
    if isinstance(error, TimeoutError):
        return Finding(
            name,
            Status.PROBLEM,
            f"There was no answer within {CHECK_SECONDS:.0f} s.",
            "Look for the load and the locks of the store.",
        )
    text = str(error) or type(error).__name__
    if not isinstance(error, AsynctasqError):
        text = f"{type(error).__qualname__}: {text}"
    return Finding(name, Status.PROBLEM, text)
