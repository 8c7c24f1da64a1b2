"""MOVE (reserved): changing messages that wait."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class Changes:
    """New values of a waiting message; None leaves a field as it is."""

    queue: str | None = None
    priority: int | None = None
    due_at: float | None = None
    expires: float | None = None


@runtime_checkable
class SupportsMove(Protocol):
    """MOVE."""

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        """Change messages that wait. False where a message does not."""
        ...
