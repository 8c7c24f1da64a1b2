"""The calls of `SupportsSchedules` of the Redis driver."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq_redis import schedules as operations

if TYPE_CHECKING:
    from asynctasq_redis.server import Server


class ScheduleCalls:
    """Schedules, each of which fires a time once."""

    _offset: int

    def _opened(self) -> "Server":
        raise NotImplementedError

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        return await operations.put_schedules(self._opened(), self._offset, schedules)

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        return await operations.claim_schedules(
            self._opened(), self._offset, limit=limit, hold=hold
        )

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return await operations.fire(self._opened(), self._offset, firings)

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return await operations.find_schedules(self._opened(), ids)

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        return await operations.list_schedules(self._opened(), limit=limit, cursor=cursor)

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        return await operations.change_schedules(self._opened(), self._offset, ids, change)
