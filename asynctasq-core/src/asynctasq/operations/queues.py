"""`App.queues`: count, pause, resume and purge queues."""

from collections.abc import Awaitable, Callable, Collection

from asynctasq.contracts.capabilities import (
    Capability,
    QueueInfo,
    SupportsInspect,
    SupportsPause,
    SupportsPurge,
    require,
)
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.message import State
from asynctasq.operations.audit import Audit
from asynctasq.tasks.options import check_queue_name

PURGED = frozenset({State.READY, State.SCHEDULED, State.BLOCKED})
"""States that a purge deletes by default: those of messages that wait."""
COUNT_BOUND = 100_000
"""The command line and hints count no state of a queue further than this."""


def count_text(count: int | None) -> str:
    """Return a number that was counted up to `COUNT_BOUND`, as in `1,200`, `100,000+`, or `?` if unknown."""
    if count is None:
        return "?"
    return f"{count:,}+" if count >= COUNT_BOUND else f"{count:,}"


class Queues:
    """The queues of a store.

    Each call raises `CapabilityMissing` if the driver does not support it, `ValueError` for a name that is
    not valid for a queue, and `DriverError` if the store refused or could not be reached.
    """

    def __init__(self, driver: Callable[[], Awaitable[Driver]], audit: Audit) -> None:
        self._driver = driver
        self._audit = audit

    async def all(self, *, bound: int | None = None) -> list[QueueInfo]:
        """Return every queue that has messages or dead letters, or is paused, by name.

        Args:
            bound: count no state of a queue further than this. The number `bound` means "that or more".
                Some stores need time in proportion to the number of messages if there is no bound.
        """
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Listing queues")
        return await store.queues(bound=bound)

    async def count(self, name: str, *, bound: int | None = None) -> QueueCounts:
        """Count the messages of one queue by state. Every driver supports this.

        Args:
            name: the name of the queue.
            bound: count no state further than this, as for `all`.
        """
        check_queue_name(name)
        return await (await self._driver()).count(name, bound=bound)

    async def pause(self, name: str) -> None:
        """Stop workers from taking messages of a queue. Tasks that already run continue."""
        await (await self._pausing()).pause(check_queue_name(name))
        await self._audit.done("queues.pause", {"queue": name})

    async def resume(self, name: str) -> None:
        """Let workers take messages of a paused queue again."""
        await (await self._pausing()).resume(check_queue_name(name))
        await self._audit.done("queues.resume", {"queue": name})

    async def paused(self) -> frozenset[str] | None:
        """Return the names of the paused queues; None if the driver cannot pause queues."""
        driver = await self._driver()
        if Capability.PAUSE in driver.capabilities and isinstance(driver, SupportsPause):
            return await driver.paused()
        return None

    async def purge(self, name: str, *, states: Collection[State] = PURGED) -> int:
        """Delete the messages of a queue in these states for good, and return their number.

        Args:
            name: the name of the queue.
            states: some of READY, SCHEDULED, BLOCKED and DEAD. Running tasks are never purged.

        Raises:
            ValueError: a state cannot be purged.
        """
        check_queue_name(name)
        refused = set(states) - PURGED - {State.DEAD}
        if refused:
            raise ValueError(
                f"states must be among {', '.join(sorted({*PURGED, State.DEAD}))}, got {min(refused)}."
            )
        driver = await self._driver()
        store = require(driver, Capability.PURGE, SupportsPurge, purpose="Purging a queue")
        purged = await store.purge(name, states=states)
        await self._audit.done(
            "queues.purge",
            {"queue": name, "states": sorted(state.value for state in states)},
            {"purged": purged},
        )
        return purged

    async def _pausing(self) -> SupportsPause:
        return require(
            await self._driver(), Capability.PAUSE, SupportsPause, purpose="Pausing a queue"
        )
