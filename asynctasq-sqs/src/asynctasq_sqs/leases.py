"""Leases and received messages that the clones of a driver share in one process.

SQS needs the text of a message to send it again, so `settle` finds it here by the token of the lease.
"""

import os
import time
from collections import deque
from typing import Any

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.contracts.driver import DEFAULT_LEASE_SECONDS
from asynctasq.message import Lease
from asynctasq.records import record
from asynctasq_sqs.records import Record

KEPT_SECONDS = 3600.0
"""Seconds for which a lease is remembered after its end: its owner may be late."""
LONGEST_VISIBILITY = 43_200
"""Seconds after its receipt for which SQS can hide a message: 12 hours."""
_SEPARATOR = "\n"
_MOST_CORRECTIONS = 10_000


@record
class Received:
    """A message as SQS delivered it."""

    queue: str
    handle: str
    sqs_id: str
    body: str
    data: bytes | None
    """The record; None for a message that asynctasq did not send."""
    receives: int
    group: str | None
    at: float
    """When it was received, by `time.monotonic()`."""
    visibility: float
    """Seconds after `at` for which SQS hides it."""
    attributes: dict[str, Any]
    first_at: float | None = None
    """When SQS delivered it for the first time, in seconds since the Unix epoch by the clock of SQS."""

    @property
    def size(self) -> int:
        """The bytes of body and record."""
        return len(self.body) + len(self.data or b"")


class Held:
    """A leased message, and how far its settlement has come."""

    __slots__ = (
        "attempt",
        "ends_at",
        "has_expired",
        "is_copied",
        "is_done",
        "lost",
        "received",
        "record",
        "until",
    )

    def __init__(
        self, received: Received, item: Record, *, attempt: int, lost: int, ends_at: float
    ) -> None:
        self.received = received
        self.record = item
        self.attempt = attempt
        self.lost = lost
        self.ends_at = ends_at
        self.until = received.at + received.visibility
        self.is_copied = False
        """True once a copy was sent, so that a repeated call sends no other."""
        self.is_done = False
        self.has_expired = False
        """True if the message must not begin, so that a release of it does not count as a beginning."""


class Correction:
    """Receipts of a FIFO message that were no attempts. Only this process knows of them."""

    __slots__ = ("mismatched_since", "receives")

    def __init__(self) -> None:
        self.receives = 0
        self.mismatched_since: float | None = None


def token_of(received: Received) -> str:
    """Return the token of the lease of a message."""
    return f"{received.queue}{_SEPARATOR}{received.handle}"


def place_of(lease: Lease) -> tuple[str, str]:
    """Return the queue and the receipt handle of a lease."""
    queue, _, handle = str(lease.token).partition(_SEPARATOR)
    return queue, handle


class Shared:
    """State of all clones of a driver in one process. Single operations on it are atomic."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.held: dict[str, Held] = {}
        self.urls: dict[str, str] = {}
        """URLs of queues, by their names in SQS."""
        self.inspected: set[str] = set()
        """Queues whose settings were checked."""
        self.buffers: dict[str, deque[Received]] = {}
        self.corrections: dict[str, Correction] = {}
        self.lease = DEFAULT_LEASE_SECONDS
        """Length of the last lease that was asked for."""
        self.credentials: Any = None
        self.news: deque[News] = deque(maxlen=NEWS_KEPT)
        """News that `reserve` has found since the last call of `news`."""
        self._hints: dict[str, float] = {}
        self._next_prune = 0.0

    def hint(self, queue: str) -> None:
        """Note that a queue may have a message now."""
        self._hints[queue] = time.monotonic()

    def hint_all(self) -> None:
        """Note that every queue may have a message now."""
        self._hints[""] = time.monotonic()

    def is_hinted(self, queue: str, since: float) -> bool:
        """Return whether a queue may have got a message since then."""
        return max(self._hints.get(queue, 0.0), self._hints.get("", 0.0)) >= since

    def buffer(self, queue: str) -> deque[Received]:
        """Return the messages that were received and not yet reserved."""
        return self.buffers.setdefault(queue, deque())

    def correction(self, sqs_id: str) -> Correction:
        """Return the correction of a FIFO message."""
        found = self.corrections.get(sqs_id)
        if found is None:
            while len(self.corrections) >= _MOST_CORRECTIONS:
                self.corrections.pop(next(iter(self.corrections)), None)
            found = self.corrections[sqs_id] = Correction()
        return found

    def prune(self) -> None:
        """Forget leases that ended long ago."""
        now = time.monotonic()
        if now < self._next_prune:
            return
        self._next_prune = now + KEPT_SECONDS / 60
        for token, held in list(self.held.items()):
            if held.until + KEPT_SECONDS < now:
                self.held.pop(token, None)
