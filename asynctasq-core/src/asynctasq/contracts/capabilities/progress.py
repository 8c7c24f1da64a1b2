"""PROGRESS: reports of running tasks."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.message import Lease


@runtime_checkable
class SupportsProgress(Protocol):
    """PROGRESS. A store keeps progress with the message until the message ends."""

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        """Store the latest report of each message; ignore it where the lease is not current."""
        ...

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        """Return the latest report of each message; None where there is none."""
        ...
