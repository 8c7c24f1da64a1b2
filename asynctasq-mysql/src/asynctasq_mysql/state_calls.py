"""The methods of STATE."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.errors import DriverError
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
        if store.version < brokered.VERSION:
            raise DriverError(
                f"The database at {self.description} must have tables of version {brokered.VERSION} to be a "
                f"state store, got version {store.version}. Run `asynctasq migrate`."
            )
        return store
