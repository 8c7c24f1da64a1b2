"""Unique keys: the message that holds each, and for how long.

`Store` decides between two messages with one key, when the second is enqueued.
"""

from math import inf

from asynctasq.drivers.memory.order import TimerQueue
from asynctasq.message import Message, Unique, UniqueUntil


class UniqueLock:
    """A unique key in use."""

    __slots__ = ("ends_at", "holder", "key", "period", "until")

    def __init__(self, key: str, holder: bytes, until: UniqueUntil) -> None:
        self.key = key
        self.holder = holder
        self.until = until
        self.period = 0.0
        self.ends_at = inf
        """Time at which the period ends; infinity if the key is not held for a period."""


class UniqueKeys:
    """All holds. A hold whose period is over no longer counts, and is deleted later."""

    def __init__(self) -> None:
        self.holds: dict[str, UniqueLock] = {}
        self.ends = TimerQueue[UniqueLock](
            lambda at, hold: hold.ends_at == at and self.holds.get(hold.key) is hold
        )

    def current(self, key: str, now: float) -> UniqueLock | None:
        hold = self.holds.get(key)
        return hold if hold is not None and hold.ends_at > now else None

    def give(self, message_id: bytes, unique: Unique, now: float) -> None:
        """Give a key to a message; the former holder loses it."""
        hold = UniqueLock(unique.key, message_id, unique.until)
        if unique.until is UniqueUntil.PERIOD:
            hold.period = unique.period or 0.0
            hold.ends_at = now + hold.period
            self.ends.add(hold.ends_at, hold)
        former = self.holds.get(hold.key)
        self.holds[hold.key] = hold
        if former is not None and former.ends_at != inf:
            self.ends.dropped()

    def prolong(self, hold: UniqueLock, unique: Unique, now: float) -> None:
        """Restart a period with the length that `unique` has. Other holds have no end."""
        if hold.until is UniqueUntil.PERIOD:
            hold.ends_at = now + (hold.period if unique.period is None else unique.period)
            self.ends.add(hold.ends_at, hold)
            self.ends.dropped()

    def started(self, message: Message) -> None:
        """Free the key of a message that is leased, if it is held until then."""
        hold = self._held_by(message)
        if hold is not None and hold.until is UniqueUntil.STARTED:
            del self.holds[hold.key]

    def ended(self, message: Message) -> None:
        """Free the key of a message that has ended, unless it is held for a period."""
        hold = self._held_by(message)
        if hold is not None and hold.until is not UniqueUntil.PERIOD:
            del self.holds[hold.key]

    def purged(self, message: Message) -> None:
        """Free the key of a message that was purged, also if it is held for a period."""
        hold = self._held_by(message)
        if hold is not None:
            del self.holds[hold.key]
            if hold.ends_at != inf:
                self.ends.dropped()

    def _held_by(self, message: Message) -> UniqueLock | None:
        hold = None if message.unique is None else self.holds.get(message.unique.key)
        return hold if hold is not None and hold.holder == message.id else None

    def forget(self, now: float, *, limit: int) -> None:
        """Delete holds whose period is over."""
        for _ in range(limit):
            hold = self.ends.take(now)
            if hold is None:
                return
            del self.holds[hold.key]
