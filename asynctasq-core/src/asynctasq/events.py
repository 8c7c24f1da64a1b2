"""Facts about tasks, workers and schedules, as dispatchers and workers publish them while there is a listener.

A batch of facts is one record of a store. Drivers keep its bytes and return them; they do not read them.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from asynctasq.message import Lease, Message
from asynctasq.records import record

VERSION = b"\x01"
"""First byte of a batch that this release writes."""
VALUE_BYTES = 4096
"""Bytes of a progress report that an event carries. Longer ones are left out."""
ERROR_CHARACTERS = 500
"""Characters of an error that an event carries."""
FACTS_AT_ONCE = 500
"""Facts of one batch, at most."""


class EventKind(StrEnum):
    """Kinds of events."""

    ENQUEUED = "enqueued"
    """The store has accepted a task."""
    STARTED = "started"
    """A worker started to run a task."""
    PROGRESS = "progress"
    """A running task reported progress."""
    COMPLETED = "completed"
    """A task ended with a result."""
    FAILED = "failed"
    """A run of a task failed. `retried` or `dead` follows."""
    RETRIED = "retried"
    """A task runs again later, because its run failed."""
    RELEASED = "released"
    """A worker gave a task back without counting a run: it snoozed, or the worker stopped."""
    DEAD = "dead"
    """A task became a dead letter."""
    CANCELLED = "cancelled"
    """A task was cancelled."""
    EXPIRED = "expired"
    """A task was not started in time and became a dead letter."""
    LOST = "lost"
    """The lease of a running task ended without renewal, as when its worker was killed."""
    WORKER_STARTED = "worker_started"
    """A worker started to fetch tasks."""
    WORKER_STOPPED = "worker_stopped"
    """A worker stopped in order."""
    SCHEDULE_FIRED = "schedule_fired"
    """A schedule enqueued its task."""
    GAP = "gap"
    """Events are missing here: they were dropped, or not published because there was no listener."""


@record
class Fact:
    """One event, as a process records it before it is published."""

    kind: EventKind
    at: float
    """Seconds since the Unix epoch, by the clock of the process that recorded it."""
    id: bytes | None = None
    task: str | None = None
    queue: str | None = None
    attempt: int | None = None
    """Number of the run, from 1."""
    order: int | None = None
    """Place among the facts of one task. None: it stays where it was published."""
    seconds: float | None = None
    error: str | None = None
    reason: str | None = None
    value: bytes | None = None
    worker: str | None = None
    schedule: str | None = None


_NAMES = (
    "kind", "at", "id", "task", "queue", "attempt", "order", "worker", "seconds", "error", "reason", "value",
    "schedule",
)  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {
    "at": (int, float),
    "task": str,
    "queue": str,
    "attempt": int,
    "order": int,
    "seconds": (int, float),
    "error": str,
    "reason": str,
    "worker": str,
    "schedule": str,
    "id": bytes,
    "value": bytes,
}
_KINDS = {kind.value: kind for kind in EventKind}


@record
class FactBatch:
    """A batch as it was published."""

    facts: Sequence[Fact]
    dropped: int = 0
    """Facts that its publisher dropped before the first of these, because the store did not take them."""


class Rank:
    """Places of facts among those of one lease."""

    STARTED = 1
    PROGRESS = 2
    FAILED = 3
    ENDED = 4


ENQUEUED_ORDER = 0
_RANKS = 8


def order_of(lease: Lease, rank: int) -> int | None:
    """Return the place of a fact about a lease; None if the tokens of the driver have no order."""
    return lease.token * _RANKS + rank if type(lease.token) is int else None


def enqueued_fact(message: Message, at: float) -> Fact:
    """Return the fact that a store has accepted a message."""
    return Fact(
        EventKind.ENQUEUED,
        at,
        message.id,
        message.task,
        message.queue,
        order=ENQUEUED_ORDER,
        schedule=None if message.schedule is None else message.schedule.schedule,
    )


def pack_batch(facts: Sequence[Fact], *, dropped: int = 0) -> bytes:
    """Return facts as bytes."""
    from msgpack import packb

    rows = [_row(fact) for fact in facts]
    packed: bytes = packb([dropped, rows], unicode_errors="surrogatepass")
    return VERSION + packed


def _row(fact: Fact) -> tuple[Any, ...]:
    """Return the fields in the order of `_NAMES`; most facts need only the first ones."""
    value, error = fact.value, fact.error
    row = (
        fact.kind,
        fact.at,
        fact.id,
        fact.task,
        fact.queue,
        fact.attempt,
        fact.order,
        fact.worker,
        fact.seconds,
    )
    if error is None and fact.reason is None and value is None and fact.schedule is None:
        return row
    return (
        *row,
        None if error is None else error[:ERROR_CHARACTERS],
        fact.reason,
        None if value is None or len(value) > VALUE_BYTES else value,
        fact.schedule,
    )


def unpack_batch(data: bytes) -> FactBatch | None:
    """Return what `pack_batch` made bytes of; None if they are damaged or of another version.

    Facts of kinds that this release does not know are left out.
    """
    if data[:1] != VERSION:
        return None
    from msgpack import unpackb

    try:
        dropped, rows = unpackb(data[1:], unicode_errors="surrogatepass")
        facts = [_fact(row) for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(dropped) is not int:
        return None
    return FactBatch([fact for fact in facts if fact is not None], dropped)


def _fact(row: list[Any]) -> Fact | None:
    fields: dict[str, Any] = dict(zip(_NAMES, row, strict=False))
    kind = _KINDS.get(fields["kind"])
    if kind is None:
        return None
    for name, types in _TYPES.items():
        value = fields.get(name)
        if (value is not None or name == "at") and not isinstance(value, types):
            raise TypeError(name)
    if fields.get("id") is not None and len(fields["id"]) != 16:
        raise ValueError("id")
    fields["kind"] = kind
    return Fact(**fields)
