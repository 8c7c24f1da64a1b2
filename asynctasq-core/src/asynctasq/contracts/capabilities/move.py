"""MOVE: changing messages that wait."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class Changes:
    """New values of a waiting message; None leaves a field as it is."""

    queue: str | None = None
    priority: int | None = None
    due_at: float | None = None
    """In seconds since the Unix epoch. A time that has passed makes a scheduled message ready now, and leaves a
    ready one at its place."""
    expires: float | None = None
    """Seconds after the due time. A message that was leased before gets an expiry again."""


@runtime_checkable
class SupportsMove(Protocol):
    """MOVE."""

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        """Change messages that wait: READY or SCHEDULED ones.

        False where a message does not wait, or its record is damaged; nothing happens to it. A repeated call answers
        the same. All else stays: attempts, errors, the time of the enqueue, the unique key. An expiry counts from the
        new due time. Each message changes in one step; waiters for its new queue wake.

        Raises:
            DriverError: a change is invalid; nothing has changed.
        """
        ...
