"""Deaths: what a queue without outcomes tells the composed driver, which keeps dead letters in a state store."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from asynctasq.message import Delivery
from asynctasq.records import record
from asynctasq.settlement import Reason


@record
class Death:
    """A message that must not run: it has expired, or was lost too often. It is leased to the caller."""

    delivery: Delivery
    reason: Reason


@runtime_checkable
class SupportsDeaths(Protocol):
    """A driver that can be composed with a state store."""

    async def reserve_and_deaths(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> tuple[list[Delivery], list[Death]]:
        """Reserve like `Driver.reserve`, but lease what would become a dead letter to the caller.

        The caller keeps the dead letter elsewhere, and then ends the lease with `Complete`. If the lease ends in
        any other way, the message is delivered again, as a death if its `expires` is over. Damaged records,
        which have no message, become dead letters of the driver itself.
        """
        ...
