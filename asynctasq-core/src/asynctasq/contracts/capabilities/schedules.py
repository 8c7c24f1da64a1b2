"""SCHEDULES: rules that dispatch messages at given times."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.message import Message
from asynctasq.records import record

SCHEDULE_ID_LENGTH = 200
"""Characters of the id of a schedule, at most."""
DEFINITION_BYTES = 65_536
"""Bytes of a definition, at most. A page of a hundred schedules is then within `BYTES_AT_ONCE`."""
SCHEDULES_AT_ONCE = 100
"""Schedules that core claims, fires and lists in one call, at most."""
ORPHANED_AFTER = 86_400.0
"""Seconds after which a declared schedule that no application has declared again may be marked as orphaned."""
FINISHED_KEPT_FOR = 86_400.0
"""Seconds for which a schedule is kept after its last time."""


@record
class Schedule:
    """A rule as the store sees it."""

    id: str
    """Name, unique in the namespace. 1 to `SCHEDULE_ID_LENGTH` characters, compared by every character."""
    definition: bytes
    """Rule, zone, policies and message template. Packed by core, opaque to drivers."""
    next_at: float | None
    """The next time, in seconds since the Unix epoch; None after the last one."""
    rhythm: str = ""
    """The part of the definition by which times are computed, opaque to drivers. See `put_schedules`."""
    revision: int = 0
    """Number of the definition, counted up by the store from 1."""
    paused: bool = False
    """True if an operator has paused it."""
    orphaned: bool = False
    """True if it is not fired because no application declares it any more."""
    declared_by: str | None = None
    """The application whose code declares it; None for one that was stored at run time."""
    seen_at: float = 0.0
    """When it was last put or seen, by the store's clock."""
    fired_at: float | None = None
    """When it last fired with a message, by the store's clock."""


@record
class Claim:
    """Schedules that are due, hidden from other claims for a while."""

    schedules: Sequence[Schedule]
    now: float
    """The time by the store's clock, in seconds since the Unix epoch."""
    next_at: float | None
    """When the next schedule can be claimed, hidden ones included; None if there is none."""


@record
class Firing:
    """A schedule that fires: the messages are enqueued and the next time is set in one step."""

    id: str
    revision: int
    planned: float
    """The `next_at` that was claimed."""
    next_at: float | None
    """The next time; None if this was the last one."""
    messages: tuple[Message, ...]
    """Messages to enqueue; empty if all times are skipped."""


class ScheduleChange(StrEnum):
    """A change that an operator or a worker makes to a schedule."""

    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"
    SEEN = "seen"
    """An application still declares it. It is not orphaned any more."""
    ORPHAN = "orphan"
    """No application declares it. Applies only if it is declared and was last seen `ORPHANED_AFTER` seconds ago."""


@runtime_checkable
class SupportsSchedules(Protocol):
    """SCHEDULES. The rules themselves are computed by core."""

    async def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        """Store schedules; return their revisions.

        Stores `id`, `definition`, `rhythm`, `next_at` and `declared_by`, and sets the other fields itself. A new
        schedule has revision 1. For a schedule that exists, `declared_by` and `seen_at` are set, and it is not
        orphaned any more. With an equal definition, nothing else changes. With another one, the
        revision grows by one, so that a claim of it fires nothing. `next_at` is replaced only if the rhythm is
        another one, so a deployment does not reset an interval. A pause stays.

        Raises:
            DriverError: a schedule is invalid; nothing is stored.
        """
        ...

    async def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        """Return schedules that are due, and hide them from other claims for `hold` seconds.

        The schedules that have been due for longest come first. A claim of nothing (`limit=0`) returns the
        times only. Its cost depends on the number of schedules that it returns, not on how many there are.
        """
        ...

    async def fire(self, firings: Sequence[Firing]) -> list[bool]:
        """Fire schedules: enqueue the messages and set the next time, in one step for each firing.

        False, and nothing happens, if the schedule is paused, orphaned or removed, or if its revision or `next_at` is
        not the one that was claimed. A firing that is repeated is therefore False. The messages are
        enqueued as `enqueue` does: a known ID or a held unique key does not stop the firing. After the last time the
        schedule is kept for `FINISHED_KEPT_FOR` seconds.

        Raises:
            DriverError: one of the messages is invalid; no schedule has fired.
        """
        ...

    async def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        """Return schedules by id, in order; None for an unknown id. Core asks for `SCHEDULES_AT_ONCE` at most."""
        ...

    async def schedules(self, *, limit: int = 100, cursor: str | None = None) -> Page[Schedule]:
        """Return a page of schedules, ordered by id. A damaged one has an empty definition."""
        ...

    async def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        """Change schedules. False where one is not known, or `ORPHAN` does not apply.

        A pause keeps `next_at`, so times that pass meanwhile are due after the resume. Messages that were enqueued
        stay when a schedule is removed. A change that is repeated answers the same, except `REMOVE`.
        """
        ...
