"""Drivers that break a promise as real ones have done; what looks for that must find it.

They are imported by the processes of the kill test too.
"""

from collections.abc import Mapping, Sequence

from asynctasq.contracts.capabilities import Capability
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Delivery, Lease
from asynctasq.settlement import Complete, LeaseState, Release, Settled, Settlement


class AcknowledgesEarly(SqliteDriver):
    """Removes a message from the store when it is delivered; what is not the end enqueues it anew."""

    capabilities = SqliteDriver.capabilities & ~(Capability.RESULTS | Capability.IDEMPOTENT)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        deliveries = await super().reserve(queues, limit=limit, owner=owner, lease=lease)
        await super().settle([Complete(delivery.lease) for delivery in deliveries])
        return deliveries

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        # An end is an end; the rest of the messages should be enqueued again here, and it does not
        # matter whether they are: the processes that are killed never come to it.
        return [Settled.DONE] * len(settlements)


class TrustsEveryToken(SqliteDriver):
    """Settles and extends for whoever asks."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        await super().settle(settlements)
        return [Settled.DONE] * len(settlements)

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        await super().extend(owner, leases, lease=lease)
        return [LeaseState.HELD] * len(leases)


class DeliversTwice(SqliteDriver):
    """Gives messages back at their first delivery, and delivers them all the same."""

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        deliveries = await super().reserve(queues, limit=limit, owner=owner, lease=lease)
        first = [delivery for delivery in deliveries if not delivery.resumed]
        await super().settle([Release(delivery.lease) for delivery in first])
        return deliveries
