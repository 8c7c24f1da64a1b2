"""The calls of a driver that a storm records, for the drivers of all stores."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import LeaseState, Settled, Settlement
from tests.chaos.inside.audit import Audit


class AuditedCalls:
    """Base class of drivers that write down what they were asked and answered; list it first."""

    audit: Audit

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        plain: Any = super()
        self.audit.sent(messages)
        return await self.audit.other(cast("Driver", self), plain.enqueue(messages))

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        plain: Any = super()
        call = plain.reserve(queues, limit=limit, owner=owner, lease=lease)
        return await self.audit.reserve(cast("Driver", self), call)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        plain: Any = super()
        return await self.audit.settle(settlements, plain.settle(settlements))

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        plain: Any = super()
        call = plain.extend(owner, leases, lease=lease)
        return await self.audit.other(cast("Driver", self), call)
