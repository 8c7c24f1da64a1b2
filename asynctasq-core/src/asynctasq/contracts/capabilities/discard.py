"""Discarding queues: what lets `asynctasq drivers check` leave no queues behind at a broker."""

from collections.abc import Collection
from typing import Protocol, runtime_checkable


@runtime_checkable
class SupportsDiscard(Protocol):
    """A driver whose queues stay in the store after their last message, and can be deleted."""

    async def discard_queues(self, queues: Collection[str]) -> None:
        """Delete queues, with everything in them and with their dead letters. Unknown queues are left out.

        Raises:
            DriverError: a queue cannot be deleted, for example because the user lacks the right.
        """
        ...
