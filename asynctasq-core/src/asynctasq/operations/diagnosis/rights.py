"""Check: the rights in the store, by calls that change nothing."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsCancel,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsWorkers,
)
from asynctasq.contracts.driver import Driver
from asynctasq.message import new_id
from asynctasq.operations.diagnosis.finding import Finding, ok
from asynctasq.operations.diagnosis.subject import Subject


async def check_rights(subject: Subject, driver: Driver) -> Sequence[Finding]:
    """Read, and cancel and delete what does not exist. A store without the rights refuses both.

    A driver without INSPECT may record the cancellation of an unknown task, so that only reading is tried there.
    """
    await driver.count(subject.settings.default_queue, bound=1)
    if Capability.INSPECT not in driver.capabilities or not isinstance(driver, SupportsInspect):
        return [ok("rights", "Reading is permitted. Writing was not tried.")]
    unknown = new_id()
    await driver.find([unknown])
    if isinstance(driver, SupportsCancel):
        await driver.cancel([unknown])
    if isinstance(driver, SupportsDeadLetters):
        await driver.delete_dead([unknown])
    if isinstance(driver, SupportsWorkers):
        await driver.forget_worker(f"doctor-{unknown.hex()}")
    return [ok("rights", "Reading, changing and deleting are permitted.")]
