"""PAUSE: queues that workers leave alone."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class SupportsPause(Protocol):
    """PAUSE. `reserve` takes nothing from a paused queue; all other calls work as usual."""

    async def pause(self, queue: str) -> None:
        """Pause a queue. Does nothing if it is paused already."""
        ...

    async def resume(self, queue: str) -> None:
        """Resume a queue. Does nothing if it is not paused."""
        ...

    async def paused(self) -> frozenset[str]:
        """Return the names of the paused queues."""
        ...
