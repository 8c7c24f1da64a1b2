"""PURGE: deleting the messages of a queue."""

from collections.abc import Collection
from typing import Protocol, runtime_checkable

from asynctasq.message import State


@runtime_checkable
class SupportsPurge(Protocol):
    """PURGE."""

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        """Delete the messages of a queue that are in `states`; return how many.

        The states are SCHEDULED, BLOCKED, READY and DEAD; leased messages are never purged. The unique keys of
        purged messages are free afterwards. A store may work in pieces: other calls run in between, and
        a call that fails has deleted some messages and not others.
        """
        ...
