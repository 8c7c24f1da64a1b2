"""Calls of the SQLite driver about schedules."""

from collections.abc import Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.driverkit.schedules import check_firings, check_schedules
from asynctasq.drivers.sqlite import schedules as operations
from asynctasq.drivers.sqlite.requests import Operation

T = TypeVar("T")


class ScheduleCalls:
    """Calls of `SupportsSchedules`."""

    async def _read(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _write(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def _write_unsynced(self, operation: Operation[T]) -> T:
        raise NotImplementedError

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        check_schedules(schedules)
        return await self._write(operations.Put(schedules))

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        claim = await self._read(operations.Peek())
        if limit <= 0 or claim.next_at is None or claim.next_at > claim.now:
            return claim  # nothing was locked
        return await self._write_unsynced(operations.ClaimDue(limit, hold))

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        check_firings(firings)
        return await self._write(operations.Fire(firings)) if firings else []

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return await self._read(operations.Find(ids))

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        return await self._read(operations.ListAll(limit, cursor))

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        return await self._write(operations.Change(ids, change))
