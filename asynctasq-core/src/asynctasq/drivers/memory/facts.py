"""Facts about messages that a broker holds, each kept for its time."""

from math import inf

from asynctasq.driverkit.marks import Fact
from asynctasq.drivers.memory.order import TimerQueue

NONE: dict[int, tuple[float, bytes]] = {}


class Facts:
    """Facts by ID of the message, each with the time until which it is kept."""

    def __init__(self, most: int) -> None:
        """Make an empty collection of at most `most` facts. The ones that end first are dropped first."""
        self._most = most
        self.kept: dict[bytes, dict[int, tuple[float, bytes]]] = {}
        self.ends = TimerQueue[tuple[bytes, int]](
            lambda at, key: self.kept.get(key[0], NONE).get(key[1], (inf,))[0] == at
        )

    def keep(self, message_id: bytes, fact: Fact, until: float, value: bytes = b"") -> None:
        facts = self.kept.setdefault(message_id, {})
        if fact in facts:
            self.ends.dropped()
        facts[fact] = (until, value)
        self.ends.add(until, (message_id, fact))

    def of(self, message_id: bytes, now: float) -> dict[int, bytes]:
        """Return the current facts about a message, with their values."""
        facts = self.kept.get(message_id, NONE)
        return {fact: value for fact, (until, value) in facts.items() if until > now}

    def drop(self, message_id: bytes) -> None:
        """Drop all facts about a message."""
        for _ in self.kept.pop(message_id, NONE):
            self.ends.dropped()

    def forget(self, now: float, *, limit: int) -> None:
        """Drop facts whose time is over, and facts beyond the limit."""
        for _ in range(limit):
            key = self.ends.take(inf if len(self.ends) > self._most else now)
            if key is None:
                return
            message_id, fact = key
            facts = self.kept[message_id]
            del facts[fact]
            if not facts:
                del self.kept[message_id]
