"""The clone of a check, typed by the protocols of its capabilities."""

from collections.abc import Callable
from typing import TypeVar

from asynctasq.contracts.capabilities import (
    SupportsCancel,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsNews,
    SupportsPause,
    SupportsProgress,
    SupportsPurge,
    SupportsResults,
    SupportsSchema,
    SupportsWorkers,
)
from asynctasq.contracts.capabilities.move import SupportsMove
from asynctasq.contracts.driver import Driver

T = TypeVar("T")


class CloneProtocols:
    """Properties that narrow `clone` to the protocol of a capability, for type checkers."""

    clone: Driver

    def _clone_as(self, protocol: Callable[[object], T | None], name: str) -> T:
        supported = protocol(self.clone)
        if supported is None:
            raise AssertionError(f"the driver lacks methods of {name}")
        return supported

    @property
    def results(self) -> SupportsResults:
        return self._clone_as(lambda d: d if isinstance(d, SupportsResults) else None, "RESULTS")

    @property
    def progress(self) -> SupportsProgress:
        return self._clone_as(lambda d: d if isinstance(d, SupportsProgress) else None, "PROGRESS")

    @property
    def canceller(self) -> SupportsCancel:
        return self._clone_as(lambda d: d if isinstance(d, SupportsCancel) else None, "CANCEL")

    @property
    def pauser(self) -> SupportsPause:
        return self._clone_as(lambda d: d if isinstance(d, SupportsPause) else None, "PAUSE")

    @property
    def dead(self) -> SupportsDeadLetters:
        return self._clone_as(
            lambda d: d if isinstance(d, SupportsDeadLetters) else None, "DEAD_LETTERS"
        )

    @property
    def inspect(self) -> SupportsInspect:
        return self._clone_as(lambda d: d if isinstance(d, SupportsInspect) else None, "INSPECT")

    @property
    def purger(self) -> SupportsPurge:
        return self._clone_as(lambda d: d if isinstance(d, SupportsPurge) else None, "PURGE")

    @property
    def mover(self) -> SupportsMove:
        return self._clone_as(lambda d: d if isinstance(d, SupportsMove) else None, "MOVE")

    @property
    def workers(self) -> SupportsWorkers:
        return self._clone_as(lambda d: d if isinstance(d, SupportsWorkers) else None, "WORKERS")

    @property
    def newsroom(self) -> SupportsNews:
        return self._clone_as(lambda d: d if isinstance(d, SupportsNews) else None, "NEWS")

    @property
    def schema(self) -> SupportsSchema:
        return self._clone_as(lambda d: d if isinstance(d, SupportsSchema) else None, "SCHEMA")
