"""The two stores that a composed driver needs, as types."""

from typing import Protocol

from asynctasq.contracts.capabilities import (
    SupportsCancel,
    SupportsDeadLetters,
    SupportsPause,
    SupportsProgress,
    SupportsResults,
    SupportsWorkers,
)
from asynctasq.contracts.capabilities.deaths import SupportsDeaths
from asynctasq.contracts.capabilities.state import SupportsState
from asynctasq.contracts.driver import Driver


class QueueDriver(Driver, SupportsDeaths, Protocol):
    """A queue without outcomes, such as a broker."""


class StateDriver(
    Driver,
    SupportsState,
    SupportsCancel,
    SupportsDeadLetters,
    SupportsPause,
    SupportsProgress,
    SupportsResults,
    SupportsWorkers,
    Protocol,
):
    """A full store that keeps the state of messages which the queue holds."""
