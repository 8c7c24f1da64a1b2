"""Unique keys: who holds them, and the enqueue of messages that want them.

A call locks keys first, in the order of their hashes, and messages afterwards. The end of a message does not
touch its key: whether a key is held is read from the row of its holder. So a settlement never waits for an
enqueue.
"""

from collections.abc import Sequence
from hashlib import sha256

from asynctasq.driverkit.times import OUTCOME_TTL_LEAST, micros
from asynctasq.message import Message, OnConflict, Unique, UniqueUntil
from asynctasq_mysql.clients import Row

FREE, STARTED, SETTLED, PERIOD = 0, 1, 2, 3
HELD = {UniqueUntil.STARTED: STARTED, UniqueUntil.SETTLED: SETTLED, UniqueUntil.PERIOD: PERIOD}
NO_HOLDER = bytes(16)
LEAST = micros(OUTCOME_TTL_LEAST)
BLOCKED, LEASED = 4, 5


def key_hash(key: str) -> bytes:
    """Return the name of a key in the store."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


class Key:
    """A unique key as a call has locked it."""

    __slots__ = (
        "due_at",
        "ends_at",
        "hash",
        "held",
        "holder",
        "is_changed",
        "period",
        "started",
        "state",
    )

    def __init__(self, key: bytes, row: Row | None) -> None:
        self.hash = key
        self.holder: bytes = NO_HOLDER
        self.held = FREE
        self.period: int | None = None
        self.ends_at: int | None = None
        self.state: int | None = None
        """The state of the holder; None if it is not in the store."""
        self.started = False
        self.due_at = 0
        self.is_changed = False
        if row is not None:
            self.holder, self.held, self.period, self.ends_at = (
                bytes(row[0]),
                row[1],
                row[2],
                row[3],
            )
            self.state, self.started, self.due_at = row[4], bool(row[5]), row[6] or 0

    def is_held(self, now: int) -> bool:
        """Return whether a message holds the key."""
        if self.held == PERIOD:
            return self.ends_at is not None and self.ends_at > now
        if self.state is None or self.held == FREE:
            return False
        if self.held == STARTED:
            return self.state <= BLOCKED and not self.started
        return self.state <= LEASED

    def may_be_replaced(self, now: int) -> bool:
        """Return whether the row of the holder decides, and may have changed since it was read.

        A holder that was not found may be younger than the snapshot of the application's transaction.
        """
        if self.state is None:
            return self.held in (STARTED, SETTLED)
        return self.state <= BLOCKED and self.is_held(now)

    def take(self, message_id: bytes, unique: Unique, now: int) -> None:
        """Let a message hold the key; a holder before it loses the key."""
        self.holder, self.held = message_id, HELD[unique.until]
        self.period = micros(unique.period or 0.0) if self.held == PERIOD else None
        self.ends_at = None if self.period is None else now + self.period
        self.is_changed = True

    def set_holder(self, state: int, started: bool, due_at: int) -> None:
        """Record the holder's row as it is, or will be."""
        self.state, self.started, self.due_at = state, started, due_at

    def row(self) -> tuple[bytes, bytes, int, int | None, int | None]:
        """Return the columns of the key."""
        return self.hash, self.holder, self.held, self.period, self.ends_at


class Admission:
    """Decides about the messages of a chunk in order, each as if it were alone."""

    def __init__(self, keys: dict[bytes, Key], known: set[bytes], now: int) -> None:
        self.keys = keys
        self.known = known
        self.now = now
        self.added: dict[bytes, Message] = {}
        """The messages to be added."""
        self.replaced: set[bytes] = set()
        """Messages among them that a later one of the chunk has replaced."""
        self.cancelled: set[bytes] = set()
        """The waiting messages of the store that are replaced."""
        self.moves: dict[bytes, int] = {}
        """The scheduled messages of the store that get another due time."""
        self.delays: dict[bytes, Message] = {}
        """Messages of the chunk whose due time is that of another one of the chunk."""

    def admit(self, message: Message) -> tuple[bytes, bool]:
        """Return the ID that stands, and whether the message is added."""
        if message.id in self.known:
            return message.id, False
        unique = message.unique
        key = None if unique is None else self.keys[key_hash(unique.key)]
        if key is not None and unique is not None:
            if key.is_held(self.now) and not self._replaces(key, message, unique):
                return key.holder, False
            key.take(message.id, unique, self.now)
            due = first_due(message, self.now)
            key.set_holder(3 if due <= self.now else 2, False, due)
        self.known.add(message.id)
        self.added[message.id] = message
        return message.id, True

    def _replaces(self, key: Key, newcomer: Message, unique: Unique) -> bool:
        """Return whether the newcomer may have a key that is held."""
        waits = key.state is not None and key.state <= BLOCKED
        if unique.on_conflict is OnConflict.REPLACE and waits:
            if key.holder in self.added:
                self.replaced.add(key.holder)
            else:
                self.cancelled.add(key.holder)
                self.moves.pop(key.holder, None)
            return True
        if unique.on_conflict is OnConflict.EXTEND:
            if key.state == 2 and key.due_at > self.now:
                key.due_at = first_due(newcomer, self.now)
                key.state = 3 if key.due_at <= self.now else 2
                if key.holder in self.added:
                    self.delays[key.holder] = newcomer
                else:
                    self.moves[key.holder] = key.due_at
            if key.held == PERIOD:
                period = key.period if unique.period is None else micros(unique.period)
                key.ends_at = self.now + (period or 0)
                key.is_changed = True
        return False


def first_due(message: Message, now: int) -> int:
    """Return when a message that is enqueued now is due."""
    if message.eta is not None:
        return max(micros(message.eta), now)
    return now + max(micros(message.delay), 0)


def hashes_of(messages: Sequence[Message]) -> list[bytes]:
    """Return the keys that messages want, in the order in which they are locked."""
    return sorted(
        {key_hash(message.unique.key) for message in messages if message.unique is not None}
    )
