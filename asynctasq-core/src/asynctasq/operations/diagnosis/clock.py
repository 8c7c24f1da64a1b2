"""Check: the store's clock against the clock of this computer."""

import time
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.scheduling import schedules_of
from asynctasq.operations.diagnosis.finding import Finding, Status, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.hints import LATE_SECONDS

WARNING_SECONDS = 2.0
PROBLEM_SECONDS = LATE_SECONDS
"""From this difference on, workers of this computer seem to be gone when another one lists them."""


async def check_clock(_: Subject, driver: Driver) -> Sequence[Finding]:
    """Compare the two clocks. Delays and leases follow the store's clock, heartbeats that of the worker."""
    if Capability.SCHEDULES not in driver.capabilities:
        return [not_checked("clock", "The driver does not report the store's clock.")]
    before = time.time()
    now = (await schedules_of(driver).claim_schedules(limit=0, hold=0.0)).now
    return [judge_clock(now, before, time.time())]


def judge_clock(now: float, before: float, after: float) -> Finding:
    """Judge a time of the store that was read between two times of this computer, all in seconds."""
    ahead = now - after if now > after else min(now - before, 0.0)
    if abs(ahead) < WARNING_SECONDS:
        return ok("clock", f"The store's clock differs by less than {WARNING_SECONDS:g} s.")
    status = Status.PROBLEM if abs(ahead) >= PROBLEM_SECONDS else Status.WARNING
    where = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        status,
        f"The store's clock is {abs(ahead):,.1f} s {where} that of this computer.",
        "Synchronize both clocks, with NTP for example.",
    )
