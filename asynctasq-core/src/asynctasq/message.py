"""A message: one dispatched call of a task, as the store sees it."""

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from enum import Enum, StrEnum
from itertools import count
from struct import Struct
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from asynctasq.records import record

if TYPE_CHECKING:
    from datetime import timedelta

PRIORITY_LOWEST = 0
PRIORITY_DEFAULT = 5
PRIORITY_HIGHEST = 9

QUEUE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")
LIMIT_RULE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
"""Names of rules in `Message.limits`."""
_TEXT_PARTS = Struct("4s6s6s")
"""Parts of an id: before the first dash of its text, between the first and the last, and after the last."""
_HEAD_OF_TEXT = len("00000000-0000-7000-8000-")

_LEASED = "leased"
"""The former text of `State.RUNNING`."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
NO_RESULTS: Mapping[bytes, bytes] = MappingProxyType({})


class State(StrEnum):
    """Where a message is. The first five are exclusive; the last two are how it ended."""

    SCHEDULED = "scheduled"
    """Waits for its time."""
    BLOCKED = "blocked"
    """Waits for its parents."""
    READY = "ready"
    """May be leased."""
    RUNNING = "running"
    """A worker holds its lease: it runs, or is about to."""
    LEASED = "running"
    """Alias of RUNNING. The text `leased` of earlier releases still compares equal to it."""
    DEAD = "dead"
    """Will not be tried again; kept whole."""
    COMPLETED = "completed"
    """Ran to its end; only its outcome is kept, until it expires."""
    CANCELLED = "cancelled"
    """Was cancelled; only its outcome is kept, until it expires."""

    def __eq__(self, other: object) -> bool:
        """Compare with a state or its text."""
        return str.__eq__(self, other) is True or (
            self is State.RUNNING and isinstance(other, str) and str.__eq__(other, _LEASED)
        )

    def __ne__(self, other: object) -> bool:
        """Compare with a state or its text."""
        return not self == other

    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> "State | None":
        return cls.RUNNING if value == _LEASED else None


class CancelOutcome(Enum):
    """The answer to a request to cancel."""

    CANCELLED = "cancelled"
    """The task was waiting, and is cancelled now."""
    REQUESTED = "requested"
    """The task is running. Its worker interrupts it within a second."""
    TOO_LATE = "too_late"
    """The task had already completed, died or been cancelled."""
    UNKNOWN = "unknown"
    """The store does not know the task: for example, it has been forgotten, or still waits in the outbox."""


class UniqueUntil(StrEnum):
    """How long a unique key is held."""

    STARTED = "started"
    """Until the message is first leased."""
    SETTLED = "settled"
    """Until the message has completed, died or been cancelled."""
    PERIOD = "period"
    """For `Unique.period` seconds from the enqueue, whatever happens to the message."""


class OnConflict(StrEnum):
    """The effect of an enqueue whose unique key is held by another message."""

    SKIP = "skip"
    """The newcomer is dropped."""
    REPLACE = "replace"
    """The newcomer takes the place of a holder that waits; a holder that is leased stays (skip)."""
    EXTEND = "extend"
    """The newcomer is dropped; a scheduled holder's due time and a period start again from now."""


@record
class Unique:
    """A key that at most one message of the namespace holds at a time."""

    key: str
    until: UniqueUntil = UniqueUntil.SETTLED
    on_conflict: OnConflict = OnConflict.SKIP
    period: float | None = None
    """Seconds; required with `UniqueUntil.PERIOD`, None otherwise."""

    if (
        TYPE_CHECKING
    ):  # as a user writes it; `.options(unique=...)` turns texts and timedeltas into these

        def __init__(
            self,
            key: str,
            until: UniqueUntil | str = UniqueUntil.SETTLED,
            on_conflict: OnConflict | str = OnConflict.SKIP,
            period: float | timedelta | None = None,
        ) -> None: ...


class OnParentFailure(StrEnum):
    """The effect on a message when one of its parents dies or is cancelled."""

    FAIL = "fail"
    CANCEL = "cancel"
    RUN = "run"


@record
class Parent:
    """A message that must have ended before this one may start."""

    id: bytes
    on_failure: OnParentFailure = OnParentFailure.FAIL


@record
class ScheduledRun:
    """The firing of a schedule that made a message: (schedule, time) is unique."""

    schedule: str
    fire_time: float
    """Seconds since the Unix epoch."""


@record
class Message:
    """One dispatched call. Drivers store every field and interpret none of `body`."""

    id: bytes
    """UUIDv7, 16 bytes."""
    queue: str
    task: str
    body: bytes
    priority: int = PRIORITY_DEFAULT
    """0 to 9; 9 is first."""
    delay: float = 0.0
    """Seconds after the enqueue, by the store's clock; not used where `eta` is given."""
    eta: float | None = None
    """First due, in seconds since the Unix epoch, by the store's clock."""
    expires: float | None = None
    """Seconds after it was first due within which it must be leased; dead (`expired`) otherwise."""
    max_attempts: int = 3
    """Runs in all; 0 and 1 both mean one run. Only core uses it: drivers store it."""
    max_lost: int = 3
    """Lost leases that are forgiven; one more makes it dead (`lost`)."""
    result_ttl: float = 3600.0
    """Seconds for which the outcome is kept. Core passes it on in `Complete`."""
    unique: Unique | None = None
    parents: tuple[Parent, ...] = ()
    workflow: bytes | None = None
    schedule: ScheduledRun | None = None
    limits: tuple[str, ...] = ()
    """Limits that it counts against. Each entry is `rule` or `rule:key`; a rule matches `LIMIT_RULE`, the key
    is any text. Drivers without LIMITS only carry them."""
    group: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, hash=False)
    given_id: bool = False
    """True if the user chose the id, so that an enqueue of it must stay idempotent."""


@record
class Lease:
    """The right to run one message, for as long as its owner extends it.

    `token` is opaque to core. A driver with `Capability.FENCED` counts it up per message, so that
    no two leases of one message ever share a token, even if the store loses its last writes.
    """

    id: bytes
    token: int | str


@record
class Delivery:
    """A leased message."""

    message: Message
    lease: Lease
    attempt: int
    """Runs that have ended before this one: 0 on the first run."""
    lost: int
    """Leases of this message that ended without renewal."""
    enqueued_at: float
    """Seconds since the Unix epoch, by the store's clock."""
    mismatched_for: float = 0.0
    """Seconds since it was first released with `Release.mismatched`; 0.0 if never."""
    parent_results: Mapping[bytes, bytes] = field(default_factory=lambda: NO_RESULTS, hash=False)
    due_at: float = 0.0
    """When it became ready, in seconds since the Unix epoch, by the store's clock."""
    resumed: bool = False
    """True if it was leased before, so that steps or progress of an earlier run may exist."""


def headers_bytes(headers: Mapping[str, str]) -> int:
    """Return the bytes (UTF-8) of all names and texts of headers."""
    return sum(len(key.encode()) + len(text.encode()) for key, text in headers.items())


def new_id() -> bytes:
    """Return a UUIDv7 (RFC 9562, section 5.7), greater than all before it in this process.

    48 bits of milliseconds, then 73 bits that are random for the first id of a millisecond and count
    up from there within it (section 6.2, method 2).
    """
    return _ids.next()


def id_to_text(message_id: bytes) -> str:
    """Return the canonical text form that users see."""
    first, middle, last = _TEXT_PARTS.unpack(message_id)
    return f"{first.hex()}-{middle.hex('-', 2)}-{last.hex()}"


def ids_to_texts(message_ids: Iterable[bytes]) -> Iterator[str]:
    """Yield the canonical text form of each id.

    Ids that were made in the same millisecond begin with the same ten bytes, which become text once.
    """
    known, head = b"", ""
    for message_id in message_ids:
        first = message_id[:10]
        if first != known:
            known, head = first, id_to_text(message_id)[:_HEAD_OF_TEXT]
        yield head + message_id[10:].hex()


def time_of_id(message_id: bytes) -> float | None:
    """Return when an ID was made, in seconds since the Unix epoch; None if it is not a UUIDv7."""
    if message_id[6] >> 4 != 7:
        return None
    return int.from_bytes(message_id[:6], "big") / 1000


def id_from_text(text: str) -> bytes:
    """Return the stored form of a task id.

    Raises:
        ValueError: `text` is not a UUID.
    """
    try:
        return UUID(text).bytes
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"task id must be a UUID, got {text!r}.") from None


class _IdSource:
    """Ids that grow. Makes at most one system call per millisecond, for random bits."""

    _VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
    _RAND_A = (1 << 12) - 1
    _RAND_B = (1 << 61) - 1  # one bit short, so that counting up never reaches the variant

    _lock: threading.Lock
    _numbers: Iterator[int]
    _ends_at: int
    """Nanoseconds since the Unix epoch at which the numbers of another millisecond begin."""

    def __init__(self) -> None:
        self.restart()

    def next(self) -> bytes:
        if time.time_ns() >= self._ends_at:
            self._begin()
        return next(self._numbers).to_bytes(16, "big")  # one step of a counter is atomic

    def _begin(self) -> None:
        """Begin another millisecond. If the clock was set back, the last one continues."""
        with self._lock:
            millisecond = time.time_ns() // 1_000_000
            if (millisecond + 1) * 1_000_000 <= self._ends_at:
                return  # another thread was quicker
            bits = int.from_bytes(os.urandom(10), "big")
            random = ((bits >> 64) & self._RAND_A) << 64 | (bits & self._RAND_B)
            self._numbers = count(millisecond << 80 | self._VERSION_AND_VARIANT | random)
            self._ends_at = (millisecond + 1) * 1_000_000

    def restart(self) -> None:
        """Forget all state, so that a forked child shares no sequence with its parent."""
        self._lock = threading.Lock()
        self._ends_at = 0
        self._numbers = count()


_ids = _IdSource()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.restart)
