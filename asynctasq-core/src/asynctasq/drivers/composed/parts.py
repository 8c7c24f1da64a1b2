"""The two stores that a composed driver needs, as types."""

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class DelaysByQueue(Protocol):
    """A driver whose queues differ in how long they can hold a new message back."""

    def longest_delay_of(self, queue: str) -> float | None:
        """Return the longest delay of a new message in this queue, in seconds; None for no limit."""
        ...


@runtime_checkable
class LimitsLeases(Protocol):
    """A driver whose leases cannot be extended without limit."""

    longest_lease: float
    """Seconds after its delivery for which a message can stay leased."""


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
