"""Calls of the memory driver about schedules."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.drivers.memory.brokered import StateStore


class ScheduleCalls:
    """Calls of `SupportsSchedules`, each under the lock of the store."""

    def _opened(self) -> StateStore:
        raise NotImplementedError

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        store = self._opened()
        with store.lock:
            return store.put_schedules(schedules)

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        store = self._opened()
        with store.lock:
            return store.claim_schedules(limit=limit, hold=hold)

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.fire(firings)

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        store = self._opened()
        with store.lock:
            return store.find_schedules(ids)

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        store = self._opened()
        with store.lock:
            return store.schedules(limit=limit, cursor=cursor)

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.change_schedules(ids, change)
