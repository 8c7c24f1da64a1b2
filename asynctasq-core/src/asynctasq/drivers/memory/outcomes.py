"""Outcomes of messages that have ended, each kept for its time.

Outcomes of dead letters are not here: a dead letter contains its own outcome as long as it is kept.
"""

from math import inf

from asynctasq.contracts.capabilities import Outcome
from asynctasq.drivers.memory.order import TimerQueue


class Outcomes:
    """Outcomes by ID of the message, each with the time until which it is kept."""

    ttl_least = 60.0
    """Seconds for which every outcome is kept, so that a repeated enqueue finds its id known."""

    def __init__(self, most: int) -> None:
        """Make an empty collection of at most `most` outcomes. The ones that expire first are dropped first."""
        self._most = most
        self.kept: dict[bytes, tuple[float, Outcome]] = {}
        self._ends = TimerQueue[bytes](
            lambda at, message_id: self.kept.get(message_id, (inf,))[0] == at
        )

    def keep(self, outcome: Outcome, ttl: float) -> None:
        if not ttl > self.ttl_least:
            ttl = self.ttl_least
        until = outcome.finished_at + ttl
        self.kept[outcome.id] = (until, outcome)
        self._ends.add(until, outcome.id)

    def find(self, message_id: bytes, now: float) -> Outcome | None:
        kept = self.kept.get(message_id)
        return kept[1] if kept is not None and kept[0] > now else None

    def forget(self, now: float, *, limit: int) -> None:
        """Drop outcomes whose time is over, and outcomes beyond the limit."""
        for _ in range(limit):
            too_many = len(self._ends) > self._most
            message_id = self._ends.take(inf if too_many else now)
            if message_id is None:
                return
            del self.kept[message_id]
