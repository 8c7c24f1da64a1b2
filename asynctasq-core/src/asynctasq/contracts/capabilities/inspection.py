"""INSPECT: listing queues and finding messages."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.message import Message, State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo


@record
class Snapshot:
    """One message at one moment."""

    message: Message
    state: State
    attempt: int
    lost: int
    enqueued_at: float
    due_at: float
    """When it became or becomes ready, in seconds since the Unix epoch."""
    owner: str | None = None
    """The worker that leases it."""
    cancelling: bool = False
    """True if it runs and is flagged to be cancelled."""
    error: ErrorInfo | None = None
    """The error of the last attempt that failed, or of the last release that gave one."""
    leased_at: float | None = None
    """When its lease began, by the store's clock; None if it is not leased."""
    pending: int = 0
    """Parents that have not ended. Always 0 without DEPENDENCIES."""
    held_by: str | None = None
    """The entry of `Message.limits` that holds it back. Always None without LIMITS."""


@record
class QueueInfo:
    """A queue at one moment."""

    name: str
    ready: int
    scheduled: int
    blocked: int
    leased: int
    dead: int
    paused: bool
    oldest_ready_at: float | None
    """When the message that has been ready for longest became ready."""
    paused_at: float | None = None
    """When the queue was paused, by the store's clock; None if it is not paused."""

    @property
    def running(self) -> int:
        """The number of leased messages, by the name that users know."""
        return self.leased


@runtime_checkable
class SupportsInspect(Protocol):
    """INSPECT."""

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        """Return every queue that holds a message, is paused, or has dead letters, by name.

        Args:
            bound: count no state of a queue further than this. The number `bound` means "that or more".
        """
        ...

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        """Return messages that wait, run or are dead; None where a message has finished or is not known."""
        ...

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        """Return a page of the ids that begin or end with some digits.

        Only ids of messages that wait, run or are dead. Each call looks at a bounded number of ids, and reads
        no messages if the store can do without, so a page may be short or empty and still have a cursor.
        All pages together show each id once, while no message changes its state.

        Args:
            part: 4 to 31 lowercase hexadecimal digits, without hyphens.
            limit: ids of a page, at most.
            cursor: that of the page before.
        """
        ...

    async def browse(
        self,
        state: State,
        *,
        queue: str | None = None,
        task: str | None = None,
        owner: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Snapshot]:
        """Return a page of messages in one state, in a stable order of the driver's choice.

        Stable means: while no message changes its state, all pages together show each message once, and a
        message that stays in its state is neither left out nor shown twice, whatever happens to others.
        A page costs the same at a thousand and at a million messages: each call looks at a bounded number
        (`SCANNED_AT_ONCE`, for example), so a page may be short or empty and still have a cursor.

        Args:
            state: SCHEDULED, BLOCKED, READY, RUNNING or DEAD.
            queue: only messages of this queue.
            task: only messages of this task name; `prefix*` selects all names that begin so.
            owner: only messages that this worker leases.
            since: only messages enqueued at this time or later.
            until: only messages enqueued before this time.
            limit: messages of a page, at most.
            cursor: that of the page before.
        """
        ...
