"""Tasks as operations return them."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from asynctasq.about import About, unpack_about
from asynctasq.contracts.capabilities import DeadLetter, Outcome, Snapshot
from asynctasq.message import Message, State, id_to_text
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason


@record
class TaskInfo:
    """One task at one moment. Values that are not known, or no longer, are None.

    Times are seconds since the Unix epoch, by the store's clock.
    """

    id: str
    state: State
    message: Message | None = None
    """The message; None after the task completed or was cancelled: then only the outcome is kept."""
    attempts: int | None = None
    """Number of runs that have ended."""
    lost: int | None = None
    """Number of leases that ended without renewal."""
    enqueued_at: float | None = None
    due_at: float | None = None
    """Time at which it became or becomes ready."""
    finished_at: float | None = None
    """Time at which it completed, died or was cancelled."""
    worker: str | None = None
    """The ID of the worker that runs it, or that ran it last."""
    cancelling: bool = False
    """True if it runs and is about to be interrupted."""
    reason: Reason | None = None
    """The reason why it is dead."""
    error: ErrorInfo | None = None
    """The error of the last run that failed."""
    about: About | None = None
    """Its names and times, kept with the outcome of a task that has finished."""

    @property
    def task(self) -> str | None:
        """The name of the task."""
        known = self.message or self.about
        return None if known is None else known.task

    @property
    def queue(self) -> str | None:
        """The name of its queue."""
        known = self.message or self.about
        return None if known is None else known.queue


@record
class Arguments:
    """The arguments of a call, with a `Reference` in place of each model."""

    positional: tuple[object, ...] = ()
    named: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)


@record
class TaskDetails:
    """A task with its arguments, and its result or its progress."""

    info: TaskInfo
    arguments: Arguments | None = None
    """The arguments; None after the task finished, and if they cannot be read."""
    result: object = field(default=None, hash=False)
    progress: object = field(default=None, hash=False)
    unreadable: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """Why `arguments`, `result` or `progress` could not be read here, by name."""


class RetryOutcome(StrEnum):
    """The outcome of the retry of one dead letter."""

    RETRIED = "retried"
    NOT_DEAD = "not dead"
    """The task waits, runs, or has finished."""
    KEY_HELD = "unique key held"
    """Another message has its unique key."""
    UNREADABLE = "its record in the store is damaged"
    """The store cannot read the message; it can only be deleted."""
    UNKNOWN = "unknown"
    """Deleted, finished and forgotten, or never dispatched."""


def worker_of(owner: str) -> str:
    """Return the ID of the worker that a lease belongs to.

    A worker adds a slash and random digits to its ID, so that its leases differ from those of an
    earlier worker with the same ID.
    """
    return owner.rpartition("/")[0] or owner


def info_of_snapshot(snapshot: Snapshot) -> TaskInfo:
    """Return the task of a message that waits, runs or is dead."""
    return TaskInfo(
        id=id_to_text(snapshot.message.id),
        state=snapshot.state,
        message=snapshot.message,
        attempts=snapshot.attempt,
        lost=snapshot.lost,
        enqueued_at=snapshot.enqueued_at,
        due_at=snapshot.due_at,
        worker=None if snapshot.owner is None else worker_of(snapshot.owner),
        cancelling=snapshot.cancelling,
        error=snapshot.error,
    )


def info_of_dead_letter(letter: DeadLetter) -> TaskInfo:
    """Return the task of a dead letter."""
    return TaskInfo(
        id=id_to_text(letter.message.id),
        state=State.DEAD,
        message=letter.message,
        attempts=letter.attempts,
        lost=letter.lost,
        enqueued_at=letter.enqueued_at,
        finished_at=letter.died_at,
        reason=letter.reason,
        error=letter.error,
    )


def info_of_outcome(outcome: Outcome) -> TaskInfo:
    """Return the task of a message that has ended, of which only the outcome is kept."""
    about = unpack_about(outcome.about)
    return TaskInfo(
        id=id_to_text(outcome.id),
        state=outcome.state,
        attempts=None if about is None else about.attempts,
        enqueued_at=None if about is None else about.enqueued_at,
        due_at=None if about is None else about.due_at,
        worker=None if about is None else worker_of(about.worker),
        about=about,
        finished_at=outcome.finished_at,
        reason=outcome.reason,
        error=outcome.error,
    )
