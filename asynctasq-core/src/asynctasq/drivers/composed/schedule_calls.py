"""Schedules of a composed driver: all of them, and the messages that they enqueue, are in the state store."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.checking import require
from asynctasq.contracts.capabilities.flags import Capability
from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import (
    Claim,
    Firing,
    Schedule,
    ScheduleChange,
    SupportsSchedules,
)
from asynctasq.drivers.composed.parts import StateDriver


class ScheduleCalls:
    """Calls of `SupportsSchedules`."""

    state: StateDriver

    @property
    def _scheduling(self) -> SupportsSchedules:
        """State store, if it has schedules."""
        return require(
            self.state,
            Capability.SCHEDULES,
            SupportsSchedules,
            purpose="A schedule",
        )

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        return await self._scheduling.put_schedules(schedules)

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        return await self._scheduling.claim_schedules(limit=limit, hold=hold)

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return await self._scheduling.fire(firings)

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return await self._scheduling.find_schedules(ids)

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        return await self._scheduling.schedules(limit=limit, cursor=cursor)

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        return await self._scheduling.change_schedules(ids, change)
