"""How a lease ends. The decision is core's; a driver applies a list of these."""

from enum import Enum, StrEnum
from typing import TypeAlias

from asynctasq.message import Lease
from asynctasq.records import record

ABOUT_BYTES = 1000
"""Bytes of `about` that every driver stores. Core packs 60 to 100, and leaves longer ones out."""


class Reason(StrEnum):
    """Why a message is dead."""

    FAILED = "failed"
    """Its last allowed run raised."""
    LOST = "lost"
    """More leases ended unrenewed than `max_lost` forgives."""
    EXPIRED = "expired"
    """It was not started within `expires`."""
    UNDECODABLE = "undecodable"
    """Its body cannot be read."""
    UNKNOWN_TASK = "unknown_task"
    """No worker knew its task for as long as mismatches are forgiven."""
    ARGUMENTS = "arguments"
    """No worker's signature fitted its arguments for as long as mismatches are forgiven."""
    REJECTED = "rejected"
    """The task said so."""
    REFUSED = "refused"
    """The store refused every other settlement of it."""


class ReleaseReason(StrEnum):
    """Why a worker gave a message back, uncounted."""

    SNOOZED = "snoozed"
    """The task raised `Snooze`."""
    MISMATCHED = "mismatched"
    """This worker does not know the task, or its code does not fit the arguments."""
    INTERRUPTED = "interrupted"
    """The worker stopped, and the run was interrupted at the end of the grace period."""
    NOT_STARTED = "not started"
    """The worker had fetched it ahead, and stopped or could not start it."""
    STILL_RUNNING = "still running"
    """The worker stopped, and the run could not be interrupted."""
    NO_EXECUTOR = "no executor"
    """The worker could not start the thread that the task needs."""


@record
class ErrorInfo:
    """An exception as text, so that it can be stored."""

    type: str
    """Module and qualified name of the class."""
    message: str
    traceback: str


@record
class Complete:
    """It ran to its end. The message goes, its outcome is kept for `result_ttl` seconds."""

    lease: Lease
    result: bytes | None = None
    result_ttl: float = 3600.0
    about: bytes = b""
    """Opaque bytes, at most `ABOUT_BYTES`, that the outcome returns: task, queue, times, worker and so on."""


@record
class Retry:
    """The run failed and another is allowed, after `delay` seconds. Counts as an attempt."""

    lease: Lease
    delay: float
    error: ErrorInfo


@record
class Fail:
    """To the dead letters. Counts as an attempt unless `attempted` is False (it never ran)."""

    lease: Lease
    reason: Reason
    error: ErrorInfo | None = None
    attempted: bool = True
    about: bytes = b""
    """As in `Complete`. Kept with the dead letter."""


@record
class Release:
    """Give it back after `delay` seconds. Does not count as an attempt; with no delay it keeps its place.

    `mismatched` says that this worker's code does not fit it (unknown task, other signature): the
    store remembers when that was first said, and tells it in `Delivery.mismatched_for`. `error` says
    in what way, and is kept as the error of the message.
    """

    lease: Lease
    delay: float = 0.0
    mismatched: bool = False
    error: ErrorInfo | None = None
    """With `mismatched` only."""


@record
class Cancelled:
    """The run was interrupted because it was cancelled. Only the outcome is kept."""

    lease: Lease
    result_ttl: float = 3600.0
    about: bytes = b""
    """As in `Complete`."""


Settlement: TypeAlias = Complete | Retry | Fail | Release | Cancelled


class Settled(Enum):
    """What became of one settlement."""

    DONE = "done"
    LOST = "lost"
    """The lease was not current: nothing changed."""
    REFUSED = "refused"
    """The store cannot apply this one (its result is too large, say): nothing changed."""


class LeaseState(Enum):
    """Answer to one extension."""

    HELD = "held"
    LOST = "lost"
