"""CANCEL: taking messages back."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.message import CancelOutcome, Lease


@runtime_checkable
class SupportsCancel(Protocol):
    """CANCEL. A completion or failure wins over a flag; a retry, release or lost lease does not."""

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        """Finish waiting messages as cancelled, and flag running ones.

        The outcome is kept for the message's `result_ttl`. A driver without INSPECT may answer REQUESTED for
        waiting messages and unknown ids; such a message is never delivered, and a later reserve cancels it.
        """
        ...

    async def cancel_requests(self, owner: str) -> list[Lease]:
        """Return the leases of `owner` whose messages are flagged."""
        ...
