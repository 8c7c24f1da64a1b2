"""Settlements: the ways in which a lease ends. Core decides; a driver applies a list of them."""

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
    """More leases ended without renewal than `max_lost` permits."""
    EXPIRED = "expired"
    """The task was not started within `expires`."""
    UNDECODABLE = "undecodable"
    """Its body cannot be read."""
    UNKNOWN_TASK = "unknown_task"
    """No worker knew its task for as long as mismatches are forgiven."""
    ARGUMENTS = "arguments"
    """No worker's signature fitted its arguments for as long as mismatches are forgiven."""
    REJECTED = "rejected"
    """The task raised `Reject`."""
    REFUSED = "refused"
    """The store refused every other settlement of it."""


class ReleaseReason(StrEnum):
    """Why a worker released a message, uncounted."""

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
    """Complete a message that ran to its end: remove it, and keep its outcome for `result_ttl` seconds."""

    lease: Lease
    result: bytes | None = None
    result_ttl: float = 3600.0
    about: bytes = b""
    """Opaque bytes, at most `ABOUT_BYTES`, that the outcome returns: task, queue, times, worker and so on."""


@record
class Retry:
    """Run a message again after `delay` seconds, because its run failed. Counts as an attempt."""

    lease: Lease
    delay: float
    error: ErrorInfo


@record
class Fail:
    """Make a dead letter of a message. Counts as an attempt unless `attempted` is False (it never ran)."""

    lease: Lease
    reason: Reason
    error: ErrorInfo | None = None
    attempted: bool = True
    about: bytes = b""
    """As in `Complete`. Kept with the dead letter."""


@record
class Release:
    """Release a message, to be ready after `delay` seconds. Does not count as an attempt.

    Without a delay it keeps its place. `mismatched` means that this worker's code does not fit the message
    (unknown task, other signature): the store keeps the time of the first such release, and returns the
    time since then in `Delivery.mismatched_for`. `error` has the details, and becomes the error of the message.
    """

    lease: Lease
    delay: float = 0.0
    mismatched: bool = False
    error: ErrorInfo | None = None
    """With `mismatched` only."""


@record
class Cancelled:
    """Finish a message as cancelled, because its run was interrupted. Only the outcome is kept."""

    lease: Lease
    result_ttl: float = 3600.0
    about: bytes = b""
    """As in `Complete`."""


Settlement: TypeAlias = Complete | Retry | Fail | Release | Cancelled


class SettlementKind(StrEnum):
    """How a worker ended its part in a message."""

    COMPLETED = "completed"
    RETRIED = "retried"
    """The run failed, and the message will run again."""
    RELEASED = "released"
    """Released without counting an attempt."""
    DEAD = "dead"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Nothing was settled: the lease was lost, or the worker was cancelled and left it to expire."""


class Settled(Enum):
    """The answer to one settlement."""

    DONE = "done"
    LOST = "lost"
    """The lease was not current: nothing changed."""
    REFUSED = "refused"
    """The store cannot apply this one (its result is too large, say): nothing changed."""


class LeaseState(Enum):
    """The answer to one extension."""

    HELD = "held"
    LOST = "lost"
