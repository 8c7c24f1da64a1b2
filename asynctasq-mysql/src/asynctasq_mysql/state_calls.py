"""The methods of STATE."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.sql import check_version
from asynctasq_mysql import brokered
from asynctasq_mysql.store import Store


class StateCalls(ABC):
    """The part of the driver that keeps the state of messages that a broker holds."""

    description: str

    @abstractmethod
    def _opened(self) -> Store: ...

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        return await brokered.finish(self._store_of_state(), ends)

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        return await brokered.flag(self._store_of_state(), ids, ttl)

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        return await brokered.marks(self._store_of_state(), ids)

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        return await brokered.adopt(self._store_of_state(), records)

    async def note(self, notes: Sequence[Note]) -> None:
        await brokered.note(self._store_of_state(), notes)

    def _store_of_state(self) -> Store:
        store = self._opened()
        check_version(
            f"The database at {self.description}",
            store.version,
            brokered.VERSION,
            purpose="be a state store",
        )
        return store
