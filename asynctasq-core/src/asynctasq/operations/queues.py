"""`App.queues`: counts, and what is done to a queue as a whole."""

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
from asynctasq.tasks.options import check_queue_name

PURGED = frozenset({State.READY, State.SCHEDULED, State.BLOCKED})
"""What a purge deletes unless told otherwise: all that waits."""


class Queues:
    """The queues of a store.

    Each call raises `CapabilityMissing` if the driver cannot do it, `ValueError` for what cannot name a
    queue, and `DriverError`.
    """

    def __init__(self, driver: Callable[[], Awaitable[Driver]]) -> None:
        self._driver = driver

    async def all(self) -> list[QueueInfo]:
        """Every queue that holds a message, has dead letters or is paused; by name."""
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Listing queues")
        return await store.queues()

    async def count(self, name: str) -> QueueCounts:
        """How many messages of one queue are in each state. Every driver can tell."""
        check_queue_name(name)
        return await (await self._driver()).count(name)

    async def pause(self, name: str) -> None:
        """Let workers take nothing more from it. What they run already goes on."""
        await (await self._pausing()).pause(check_queue_name(name))

    async def resume(self, name: str) -> None:
        """Let workers take from it again."""
        await (await self._pausing()).resume(check_queue_name(name))

    async def purge(self, name: str, *, states: Collection[State] = PURGED) -> int:
        """Delete its messages in these states, for good; returns how many.

        Args:
            name: of the queue.
            states: of READY, SCHEDULED, BLOCKED and DEAD. What runs is never purged.

        Raises:
            ValueError: a state that cannot be purged.
        """
        check_queue_name(name)
        refused = set(states) - PURGED - {State.DEAD}
        if refused:
            raise ValueError(
                f"Messages that are {min(refused)} cannot be purged: "
                f"{', '.join(sorted({*PURGED, State.DEAD}))} can."
            )
        driver = await self._driver()
        store = require(driver, Capability.PURGE, SupportsPurge, purpose="Purging a queue")
        return await store.purge(name, states=states)

    async def _pausing(self) -> SupportsPause:
        return require(
            await self._driver(), Capability.PAUSE, SupportsPause, purpose="Pausing a queue"
        )
