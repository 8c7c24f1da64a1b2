"""The methods of SCHEDULES."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq_postgres import schedules as operations
from asynctasq_postgres.opened import Opened


class ScheduleCalls(ABC):
    """The part of the driver that keeps schedules."""

    @abstractmethod
    def _opened(self) -> Opened: ...

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        return await operations.put_schedules(self._opened(), schedules)

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        return await operations.claim_schedules(self._opened(), limit=limit, hold=hold)

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return await operations.fire(self._opened(), firings)

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return await operations.find_schedules(self._opened(), ids)

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        return await operations.list_schedules(self._opened(), limit=limit, cursor=cursor)

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        return await operations.change_schedules(self._opened(), ids, change)
