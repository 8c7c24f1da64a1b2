"""The protocol of a driver with every capability of `FULL_STORE`, for the tools that call all of its methods."""

from typing import Protocol

from asynctasq.contracts.capabilities import (
    SupportsCancel,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPause,
    SupportsProgress,
    SupportsPurge,
    SupportsResults,
    SupportsWorkers,
)
from asynctasq.contracts.driver import Driver


class FullStore(
    Driver,
    SupportsResults,
    SupportsProgress,
    SupportsCancel,
    SupportsPause,
    SupportsDeadLetters,
    SupportsInspect,
    SupportsPurge,
    SupportsWorkers,
    Protocol,
):
    """A driver with all methods of `FULL_STORE`."""
