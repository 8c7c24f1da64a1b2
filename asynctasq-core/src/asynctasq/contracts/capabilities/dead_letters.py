"""DEAD_LETTERS: messages that will not be tried again."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.message import Message
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason

DEAD_LETTER_TTL_SECONDS = 30 * 86_400.0
"""Default of how long dead letters are kept."""
DEAD_LETTER_LIMIT = 100_000
"""Default of how many dead letters are kept."""


@record
class DeadLetter:
    """A message that will not be tried again, kept whole."""

    message: Message
    reason: Reason
    error: ErrorInfo | None
    attempts: int
    """Runs that ended."""
    lost: int
    enqueued_at: float
    died_at: float


@runtime_checkable
class SupportsDeadLetters(Protocol):
    """DEAD_LETTERS. A store keeps the newest 100,000 for 30 days, unless its settings say otherwise."""

    async def dead_letters(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        """Return a page of dead letters, newest first.

        Each call looks at a bounded number of them (`SCANNED_AT_ONCE`, for example), so a page may be short
        or empty and still have a cursor.

        Args:
            queue: only letters of this queue.
            task: only letters of this task name; `prefix*` selects all names that begin so.
            reason: only letters with this reason.
            error: only letters whose `error.type` is this class, as `ValueError` or `package.module.Error`;
                a name without a dot matches the last part of the type.
            limit: letters of a page, at most.
            cursor: that of the page before.
        """
        ...

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        """Make dead letters ready again, with attempts, lost leases and expiry counted from zero.

        False where the message is not dead, or where another message holds its unique key.
        """
        ...

    async def requeue_edited(self, message: Message) -> bool:
        """Requeue the dead letter with this id, and replace every other field by that of `message`."""
        ...

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        """Delete dead letters for good. False where the message is not dead."""
        ...
