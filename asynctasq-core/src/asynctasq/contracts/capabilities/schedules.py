"""SCHEDULES (reserved): rules that dispatch messages at given times."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.message import Message
from asynctasq.records import record


@record
class Schedule:
    """A rule as the store sees it."""

    id: str
    definition: bytes
    """Rule, zone, policies and message template. Packed by core, opaque to drivers."""
    next_at: float | None
    revision: int = 0
    paused: bool = False
    declared_by: str | None = None
    """The application whose code declares it; None for one that was stored at run time."""
    seen_at: float = 0.0
    fired_at: float | None = None


@record
class Claim:
    """Schedules that are due, hidden from other claims for a while."""

    schedules: Sequence[Schedule]
    next_at: float | None
    """When the next schedule falls due; None if there is none."""


@record
class Firing:
    """A schedule that fires: the messages are enqueued and the next time is set in one step."""

    id: str
    revision: int
    planned: float
    """The `next_at` that was claimed."""
    next_at: float | None
    messages: tuple[Message, ...]
    skipped: int = 0
    """Earlier times that were left out."""


class ScheduleChange(Enum):
    """A change that an operator or a worker makes to a schedule."""

    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"
    SEEN = "seen"


@runtime_checkable
class SupportsSchedules(Protocol):
    """SCHEDULES. The rules themselves are computed by core."""

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        """Store schedules; return their revisions. An equal definition changes nothing."""
        ...

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        """Return schedules that are due, and hide them from other claims for `hold` seconds."""
        ...

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        """Fire schedules. False where revision or `next_at` are not those claimed any more."""
        ...

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        """Return a page of schedules, by id."""
        ...

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        """Change schedules. False where one is not known."""
        ...
