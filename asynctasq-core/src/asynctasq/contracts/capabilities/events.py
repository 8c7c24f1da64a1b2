"""EVENTS (reserved): a stream of what happens to messages."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class EventPage:
    """Events after a position."""

    batches: Sequence[bytes]
    """As they were published."""
    cursor: str
    gap: bool = False
    """True if events between the position and the first of these have been dropped."""


@runtime_checkable
class SupportsEvents(Protocol):
    """EVENTS. Events are made by core, and only while there is a listener."""

    async def listening(self) -> bool:
        """Return whether there is a listener. A cheap call."""
        ...

    async def publish(self, batch: bytes, count: int) -> None:
        """Publish `count` events as one record."""
        ...

    async def events(self, after: str | None, *, limit: int, timeout: float) -> EventPage:
        """Return events after a position, or after `timeout` seconds; counts as listening for 30 s."""
        ...
