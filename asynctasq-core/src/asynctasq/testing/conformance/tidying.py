"""Leaving a store as it was found."""

from contextlib import suppress

from asynctasq.contracts.capabilities import (
    Capability,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPause,
    SupportsPurge,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.message import State
from asynctasq.settlement import Complete
from asynctasq.testing.conformance.kit import random_name

FAR_SECONDS = 40 * 86_400.0
"""Beyond every lease and everything that is kept for a time."""
_ROUNDS = 10
_STATES = (State.SCHEDULED, State.READY, State.DEAD)


async def tidy_up(driver: Driver, *, elapsed: float) -> bool:
    """Delete what checks have left behind in the driver's namespace, as far as the driver can; whether
    nothing is left.

    Args:
        driver: unopened; closed again.
        elapsed: seconds by which its clock has been moved.
    """
    await driver.open()
    try:
        driver.clock_offset = elapsed + FAR_SECONDS
        await _forget(driver)
        if Capability.INSPECT not in driver.capabilities or not isinstance(driver, SupportsInspect):
            return False
        names = [queue.name for queue in await driver.queues()]
        for name in names:
            await _empty(driver, name)
        await _forget(driver)
        return not await driver.queues()
    except DriverError:
        return False
    finally:
        driver.clock_offset = 0.0
        await driver.close()


async def _forget(driver: Driver) -> None:
    """Let the store do its upkeep."""
    for _ in range(_ROUNDS):
        await driver.reserve(
            {random_name("empty"): 1}, limit=1, owner=random_name("tidy"), lease=60.0
        )


async def _empty(driver: Driver, queue: str) -> None:
    if isinstance(driver, SupportsPause):
        with suppress(DriverError):
            await driver.resume(queue)
    if Capability.PURGE in driver.capabilities and isinstance(driver, SupportsPurge):
        await driver.purge(queue, states=_STATES)
    for _ in range(_ROUNDS):
        deliveries = await driver.reserve({queue: 1000}, limit=1000, owner="tidy", lease=60.0)
        if not deliveries:
            break
        await driver.settle([Complete(delivery.lease, result_ttl=0.0) for delivery in deliveries])
    if isinstance(driver, SupportsDeadLetters):
        page = await driver.dead_letters(queue=queue, limit=1000)
        await driver.delete_dead([dead.message.id for dead in page.items])
