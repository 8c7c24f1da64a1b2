"""Adding messages."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.packing import ID_BYTES, check_id, pack_profile
from asynctasq.driverkit.sql import BLOCKED, DEAD, BatchMismatch, InCommon, rank, runs_of
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.codec import BLOB_LIMIT, SIZE_BITS, VALUE_LIMIT, join_ids
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_micros
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.steps import Steps
from asynctasq.errors import DriverError
from asynctasq.message import Message, OnConflict, Unique, UniqueUntil

_SQL = queries("enqueue")
_STATES = queries("inspect")["states"]
_ADD = _SQL["insert"]
_ADD_OR_ROLL_BACK = _ADD.replace("INSERT INTO", "INSERT OR ROLLBACK INTO", 1)
"""A known id rolls back the transaction: to give up this statement alone, SQLite would have to keep a copy of
every page that it changes."""


class Group:
    """Messages that one statement adds. Their rows differ only in the values that are kept here."""

    __slots__ = ("due", "key", "parts", "place", "places")

    def __init__(self, key: InCommon) -> None:
        self.key = key
        self.parts: list[bytes] = []
        self.places: list[int] = []
        self.due: list[str] = []
        """The due time of each; empty if all are due at once."""
        self.place = 1
        """The place of the next message in the blob; SQLite counts from 1."""

    def add(self, messages: Sequence[Message], payloads: Sequence[bytes]) -> None:
        """Add messages."""
        self.parts += chain.from_iterable(
            zip([each.id for each in messages], payloads, strict=True)
        )
        place = self.place
        for size in map(len, payloads):
            self.places.append(place << SIZE_BITS | size)
            place += ID_BYTES + size
        self.place = place
        if not self.key.plain:
            self.due += map(_due, messages)

    def index(self) -> str:
        """Return an array of places for the query, or an object if not all messages are due at once."""
        if not self.due:
            return str(self.places)
        members = (f'"{due}":{place}' for due, place in zip(self.due, self.places, strict=True))
        return f"{{{','.join(members)}}}"

    def insert(self, session: Session) -> None:
        """Write the rows.

        Raises:
            sqlite3.IntegrityError: an id is known; the transaction is rolled back.
        """
        session.run(_ADD_OR_ROLL_BACK, self.parameters(session.used_queue_key(self.key.queue)))

    def parameters(self, queue: int) -> dict[str, object]:
        """Return the parameters of the statement. `queue` is the number of their queue."""
        key = self.key
        return {
            "blob": b"".join(self.parts),
            "index": self.index(),
            "queue": queue,
            "rank": rank(key.priority),
            "expires": None if key.expires is None else micros(key.expires),
            "result_ttl": micros(key.result_ttl),
            "max_lost": key.max_lost,
            "unique_key": key.unique_key,
            "profile": pack_profile(*key.profile),
        }


def group_messages(messages: Iterable[Message]) -> list[Group]:
    """Return messages as groups that are ready to be written.

    Raises:
        DriverError: one of them cannot be stored.
    """
    groups: dict[InCommon, Group] = {}
    full: list[Group] = []
    for key, run, payloads in runs_of(messages):
        _check(run, payloads)
        for some, theirs in _portions(run, payloads):
            group = groups.get(key)
            size = sum(map(len, theirs)) + ID_BYTES * len(some)
            if group is None or group.place + size > BLOB_LIMIT:
                if group is not None:
                    full.append(group)
                groups[key] = group = Group(key)
            group.add(some, theirs)
    return [*full, *groups.values()]


def _portions(
    messages: Sequence[Message], payloads: Sequence[bytes]
) -> Iterator[tuple[Sequence[Message], Sequence[bytes]]]:
    """Yield parts that fit into one statement each, or are a single message."""
    if sum(map(len, payloads)) + ID_BYTES * len(messages) < BLOB_LIMIT:
        yield messages, payloads
    else:
        for message, payload in zip(messages, payloads, strict=True):
            yield [message], [payload]


def _check(messages: Sequence[Message], payloads: Sequence[bytes]) -> None:
    for message, payload in zip(messages, payloads, strict=True):
        if len(message.id) != ID_BYTES:
            check_id(message.id)
        if len(payload) > VALUE_LIMIT:
            raise DriverError(
                f"A message must have at most {VALUE_LIMIT} bytes, got {len(payload)} ({message.task}). Store large data elsewhere and pass a reference to it."
            )


class Enqueue:
    """The operation behind `Driver.enqueue`."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.groups = group_messages(messages)
        self.has_unique = any(group.key.unique_key is not None for group in self.groups)

    @property
    def is_single(self) -> bool:
        """True if one statement writes all messages."""
        return len(self.groups) == 1 and not self.has_unique

    def __call__(self, session: Session) -> list[Enqueued]:
        if session.item_by_item or self.has_unique:
            return [session.follow(admit(message, session.now)) for message in self.messages]
        try:
            for group in self.groups:
                group.insert(session)
        except sqlite3.IntegrityError:
            raise BatchMismatch from None  # some ids are known: find out which
        return [Enqueued(message.id, True) for message in self.messages]


def _due(message: Message) -> str:
    """Return when a message is due, as the query reads it: a time, or a delay with a minus sign."""
    if message.eta is not None:
        return str(max(micros(message.eta), 0))
    return str(-max(micros(message.delay), 0))


def due_at(message: Message, now: int) -> int:
    """Return when a message that is enqueued now is due."""
    due = int(_due(message))
    return max(now, now - due if due < 0 else due)


def admit_all(messages: Sequence[Message], now: int) -> Steps[list[Enqueued]]:
    """Add messages, except those whose ID is known or whose unique key is held.

    Raises:
        DriverError: one of them cannot be stored; none is.
    """
    groups = group_messages(messages)
    if any(group.key.unique_key is not None for group in groups):
        answers = []
        for message in messages:
            answers += [(yield from admit(message, now))]
        return answers
    known = yield from _known_of(messages, now)
    answers = []
    for message in messages:
        answers.append(Enqueued(message.id, message.id not in known))
        known.add(message.id)
    if not all(answer.created for answer in answers):
        pairs = zip(messages, answers, strict=True)
        groups = group_messages([message for message, answer in pairs if answer.created])
    for group in groups:
        yield from insert_group(group)
    return answers


def _known_of(messages: Sequence[Message], now: int) -> Steps[set[bytes]]:
    """Return the IDs that are known, and delete outcomes that are past their time."""
    ids, index = join_ids([message.id for message in messages])
    known: set[bytes] = set()
    for place, state, forget_at in (yield _STATES, {"ids": ids, "index": index}):
        message_id = messages[place].id
        if _is_kept(state, forget_at, now):
            known.add(message_id)
        else:
            yield _SQL["forget"], {"id": message_id}
    return known


def admit(message: Message, now: int) -> Steps[Enqueued]:
    """Add one message, unless its ID is known or its unique key is held."""
    here = {"id": message.id}
    for state, forget_at in (yield _SQL["known"], here):
        if _is_kept(state, forget_at, now):
            return Enqueued(message.id, False)
        yield _SQL["forget"], here
    unique = message.unique
    replaced: bytes | None = None
    if unique is not None:
        holder = yield from key_holder(unique.key)
        if holder is not None:
            replaces = unique.on_conflict is OnConflict.REPLACE
            if not (replaces and (yield from _is_waiting(holder))):
                yield from _prolong(holder, message, unique, now)
                return Enqueued(holder, False)
            replaced = holder
    for group in group_messages([message]):
        yield from insert_group(group)
    if unique is not None:
        yield from hold_key(message.id, unique, now)
    if replaced is not None:
        yield _SQL["cancel_waiting"], {"id": replaced}
    return Enqueued(message.id, True)


def insert_group(group: Group) -> Steps[None]:
    """Add the messages of a group."""
    [(queue,)] = yield group.key.queue
    yield _ADD, group.parameters(queue)


def _is_kept(state: object, forget_at: object, now: int) -> bool:
    return type(state) is not int or state <= DEAD or as_micros(forget_at) > now


def _is_waiting(message_id: bytes) -> Steps[bool]:
    found = yield _SQL["known"], {"id": message_id}
    return any(type(state) is int and state <= BLOCKED for state, _ in found)


def key_holder(key: str) -> Steps[bytes | None]:
    """Return the ID of the message that holds a unique key; None if it is free."""
    found = yield _SQL["holder"], {"key": key}
    return found[0][0] if found else None


def hold_key(message_id: bytes, unique: Unique, now: int) -> Steps[None]:
    """Let a message hold a key; a holder before it loses the key."""
    period = None
    if unique.until is UniqueUntil.PERIOD:
        period = micros(unique.period or 0.0)
    yield (
        _SQL["hold"],
        {
            "key": unique.key,
            "holder": message_id,
            "until": unique.until.value,
            "period": period,
            "ends_at": None if period is None else now + period,
        },
    )


def _prolong(holder: bytes, newcomer: Message, unique: Unique, now: int) -> Steps[None]:
    """Do what `OnConflict.EXTEND` wants: the holder is due later, and holds its key for longer."""
    if unique.on_conflict is OnConflict.EXTEND:
        yield _SQL["reschedule"], {"id": holder, "due_at": due_at(newcomer, now)}
        period = None if unique.period is None else micros(unique.period)
        yield _SQL["prolong_period"], {"key": unique.key, "period": period}
