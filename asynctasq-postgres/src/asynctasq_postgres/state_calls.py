"""The methods of STATE."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq_postgres import brokered
from asynctasq_postgres.opened import Opened


class StateCalls(ABC):
    """The part of the driver that keeps the state of messages that a broker holds."""

    @abstractmethod
    def _opened(self) -> Opened: ...

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        return await brokered.finish(self._opened(), ends)

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        return await brokered.flag(self._opened(), ids, ttl)

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        return await brokered.marks(self._opened(), ids)

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        return await brokered.adopt(self._opened(), records)

    async def note(self, notes: Sequence[Note]) -> None:
        await brokered.note(self._opened(), notes)
