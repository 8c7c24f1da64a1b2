"""Cleanup: removal of everything that checks leave in a store."""

from asynctasq.conformance.harness import EMPTY, LEASE, Leftovers, let_tidy
from asynctasq.contracts.capabilities import (
    Capability,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPause,
    SupportsPurge,
)
from asynctasq.contracts.capabilities.discard import SupportsDiscard
from asynctasq.contracts.capabilities.schedules import ScheduleChange, SupportsSchedules
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.errors import DriverError
from asynctasq.message import State
from asynctasq.settlement import Complete

FAR_SECONDS = 2 * 3600.0
"""Seconds after which no outcome of a check is kept any longer."""
DEAD_LETTER_SECONDS = 31 * 86_400.0
"""Seconds after which dead letters are gone from a store that cannot delete them."""
_ROUNDS = 10
_STATES = (State.SCHEDULED, State.READY, State.DEAD)


async def tidy_up(driver: Driver, leftovers: Leftovers) -> bool:
    """Delete what checks have left behind in the driver's namespace, as far as the driver can; whether it
    says that nothing is left.

    Args:
        driver: unopened; closed again.
        leftovers: of the checks; brought up to date.
    """
    try:
        await driver.open()
        await _move(driver, leftovers, LEASE * 10)
        queues = {*leftovers.queues, *await _listed(driver)}
        for queue in queues:
            await _empty(driver, queue)
        await _remove_schedules(driver)
        can_delete = Capability.DEAD_LETTERS in driver.capabilities
        await _move(driver, leftovers, FAR_SECONDS if can_delete else DEAD_LETTER_SECONDS)
        if isinstance(driver, SupportsDiscard):
            await driver.discard_queues({*queues, EMPTY})
        leftovers.queues.clear()
        if Capability.INSPECT in driver.capabilities:
            return not await _listed(driver)
        counts = [await driver.count(queue) for queue in queues]
        return all(count == QueueCounts() for count in counts)
    except DriverError:
        return False
    finally:
        driver.clock_offset = 0.0
        await driver.close()


async def _move(driver: Driver, leftovers: Leftovers, seconds: float) -> None:
    """Move the clock on, and let the store do its upkeep."""
    leftovers.elapsed += seconds
    driver.clock_offset = leftovers.elapsed
    await let_tidy(driver)


async def _listed(driver: Driver) -> list[str]:
    """Return the queues that the store knows."""
    if Capability.INSPECT in driver.capabilities and isinstance(driver, SupportsInspect):
        return [queue.name for queue in await driver.queues()]
    return []


async def _empty(driver: Driver, queue: str) -> None:
    capabilities = driver.capabilities
    if Capability.PAUSE in capabilities and isinstance(driver, SupportsPause):
        await driver.resume(queue)
    if Capability.PURGE in capabilities and isinstance(driver, SupportsPurge):
        await driver.purge(queue, states=_STATES)
    for _ in range(_ROUNDS):
        deliveries = await driver.reserve({queue: 1000}, limit=1000, owner="tidy", lease=LEASE)
        if not deliveries:
            break
        await driver.settle([Complete(delivery.lease, result_ttl=0.0) for delivery in deliveries])
    if Capability.DEAD_LETTERS in capabilities and isinstance(driver, SupportsDeadLetters):
        page = await driver.dead_letters(queue=queue, limit=1000)
        await driver.delete_dead([dead.message.id for dead in page.items])


async def _remove_schedules(driver: Driver) -> None:
    if Capability.SCHEDULES in driver.capabilities and isinstance(driver, SupportsSchedules):
        for _ in range(_ROUNDS):
            page = await driver.schedules(limit=100)
            if not page.items:
                break
            names = [schedule.id for schedule in page.items]
            await driver.change_schedules(names, ScheduleChange.REMOVE)
