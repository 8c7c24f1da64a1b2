"""STATE: outcomes and marks of messages that a broker holds."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, runtime_checkable

from asynctasq.message import CancelOutcome, Message, State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason


@record
class Ended:
    """The end of a message that another store holds."""

    message: Message
    state: State
    """COMPLETED, CANCELLED or DEAD."""
    enqueued_at: float
    result: bytes | None = None
    result_ttl: float = 3600.0
    reason: Reason | None = None
    error: ErrorInfo | None = None
    attempts: int = 0
    lost: int = 0
    about: bytes = b""


@record
class Adopted:
    """A message that moves from a broker into the state store, with its past."""

    message: Message
    due_at: float
    enqueued_at: float
    attempt: int = 0
    lost: int = 0
    error: ErrorInfo | None = None


class Mark(Enum):
    """The state of a message that a broker has delivered, as the state store knows it."""

    NONE = "none"
    FLAGGED = "flagged"
    """A request to cancel the message was made."""
    ENDED = "ended"
    MOVED = "moved"
    """The message is in the state store now."""
    RUNNING = "running"
    """Another copy of it runs."""


class NoteKind(Enum):
    """The meaning of a note."""

    PROGRESS = "progress"
    RUNNING = "running"


@record
class Note:
    """A fact about a message that another store holds, kept for a while."""

    id: bytes
    kind: NoteKind
    value: bytes
    ttl: float
    """Seconds."""


@runtime_checkable
class SupportsState(Protocol):
    """STATE. Each call is atomic, like those of the driver. Times are by the store's clock.

    A message has a past here if it is in the store, if its outcome is kept, or if its end is marked. Ends are
    marked for as long as the outcome is kept, and for at least an hour.
    """

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        """Keep outcomes and whole dead letters. Return False for a message with a past: its first end counts.

        Raises:
            DriverError: an end is invalid; nothing is kept.
        """
        ...

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        """Cancel messages that may be at the broker.

        A message in the store is cancelled as `cancel` does. One that has ended is TOO_LATE. Any other is
        flagged for `ttl` seconds: REQUESTED.
        """
        ...

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        """Return the marks of messages that the broker delivered: MOVED for all that wait or run in the store."""
        ...

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        """Enqueue messages with their past. Return False for a message that has a past here.

        A message that was flagged is kept as cancelled. One with a unique key does not take it.

        Raises:
            DriverError: a number is not finite; nothing is enqueued.
        """
        ...

    async def note(self, notes: Sequence[Note]) -> None:
        """Keep progress, which `progress` returns, or that a message is running.

        A note about a message with a past changes nothing.
        """
        ...
