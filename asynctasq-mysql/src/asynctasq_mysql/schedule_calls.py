"""The methods of SCHEDULES."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.driverkit.schedules import check_firings, check_schedules
from asynctasq.driverkit.sql import check_version
from asynctasq_mysql import schedules as operations
from asynctasq_mysql.store import Store
from asynctasq_mysql.waiting import Poller


class ScheduleCalls(ABC):
    """The part of the driver that keeps schedules.

    Tables of an earlier release have no schedules: claims, searches and listings of them are empty.
    """

    description: str

    @abstractmethod
    def _opened(self) -> Store: ...

    @abstractmethod
    def _polling(self) -> Poller: ...

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        check_schedules(schedules)
        store = self._store_of_schedules()
        return await operations.put(store, schedules) if schedules else []

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        store = self._opened()
        claim = await operations.look(store)
        if limit <= 0 or claim.next_at is None or claim.next_at > claim.now:
            return claim
        return await operations.claim(store, limit=limit, hold=hold)

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        check_firings(firings)
        store = self._store_of_schedules()
        if not firings:
            return []
        answers = await operations.fire(store, firings)
        if any(answers):
            poller = self._polling()
            poller.note_work()
            poller.look_now()
        return answers

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        store = self._opened()
        if not ids or store.version < operations.VERSION:
            return [None] * len(ids)
        return await operations.find(store, ids)

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        store = self._opened()
        if store.version < operations.VERSION:
            return Page([], None)
        return await operations.schedules(store, limit=limit, cursor=cursor)

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        store = self._store_of_schedules()
        return await operations.change(store, ids, change) if ids else []

    def _store_of_schedules(self) -> Store:
        store = self._opened()
        check_version(
            f"The database at {self.description}",
            store.version,
            operations.VERSION,
            purpose="keep schedules",
        )
        return store
