"""Adding messages: a chunk as the arrays that the function `enqueue` takes."""

from collections.abc import Sequence
from hashlib import sha256

from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import ID_BYTES, check_id, is_plain, pack_profile
from asynctasq.driverkit.sql import rank, runs_of
from asynctasq.driverkit.sql.rows import pack_payload
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError
from asynctasq.message import Message, OnConflict, Unique, UniqueUntil

VALUE_LIMIT = 200 << 20
"""Bytes of the largest message, and of all messages of a call; a value of PostgreSQL ends at 1 GB."""

UNTIL = {UniqueUntil.STARTED: 1, UniqueUntil.SETTLED: 2, UniqueUntil.PERIOD: 3}
_ON_CONFLICT = {OnConflict.SKIP: 1, OnConflict.REPLACE: 2, OnConflict.EXTEND: 3}


def single(message: Message, namespace: int, shift: int) -> tuple[object, ...] | None:
    """Return the parameters of `enqueue_one`; None for a message that only `enqueue` can add.

    Args:
        message: the message.
        namespace: the number of the namespace.
        shift: the offset of the clock, in microseconds.

    Raises:
        DriverError: the message cannot be stored.
    """
    if message.unique is not None or message.delay or message.eta is not None:
        return None
    check_numbers(message)
    if len(message.id) != ID_BYTES:
        check_id(message.id)
    plain, expires = is_plain(message), message.expires
    payload = message.body if plain else pack_payload(message, plain=False)
    _check_size(len(payload), message)
    profile = pack_profile(
        message.task, message.priority, message.max_attempts, message.max_lost, message.result_ttl,
        expires, plain,
    )  # fmt: skip
    return (
        namespace, message.id, payload, message.queue, rank(message.priority),
        None if expires is None else micros(expires), micros(message.result_ttl),
        _most_lost(message), profile, shift,
    )  # fmt: skip


class Chunk:
    """Messages of one call, and the answers to them.

    Of messages that share an ID, only the first is sent, unless a unique key, or the call, may keep it out.
    """

    def __init__(self, messages: Sequence[Message], *, sends_all: bool = False) -> None:
        self.messages = messages
        ids = [message.id for message in messages]
        self._sent = messages
        sends_all = sends_all or any(message.unique for message in messages)
        if len(set(ids)) < len(ids) and not sends_all:
            self._sent = _first_of_each(messages)
        self._kinds = _Kinds()
        for key, run, payloads in runs_of(self._sent):
            self._kinds.add(key[:8], run, payloads)  # all but the unique key
        for message_id in ids:
            if len(message_id) != ID_BYTES:
                check_id(message_id)

    @property
    def queues(self) -> list[str]:
        """The names of the queues."""
        return list(dict.fromkeys(self._kinds.queues))

    def parameters(self, namespace: str, shift: int) -> tuple[object, ...]:
        """Return the parameters of the function."""
        kinds = self._kinds
        keys = [message.unique for message in self._sent]
        has_keys = any(key is not None for key in keys)
        return (
            namespace,
            b"".join([message.id for message in self._sent]),
            kinds.payloads,
            kinds.numbers if len(kinds.queues) > 1 else None,
            kinds.due if any(kinds.due) else None,
            kinds.queues,
            kinds.ranks,
            kinds.expires,
            kinds.result_ttls,
            kinds.max_lost,
            kinds.profiles,
            [None if key is None else hashed(key) for key in keys] if has_keys else None,
            [None if key is None else UNTIL[UniqueUntil(key.until)] for key in keys]
            if has_keys
            else None,
            [None if key is None else _ON_CONFLICT[OnConflict(key.on_conflict)] for key in keys]
            if has_keys
            else None,
            [None if key is None else period(key) for key in keys] if has_keys else None,
            shift,
        )

    def answers(self, known: Sequence[int] | None, holders: bytes | None) -> list[Enqueued]:
        """Return the answers, given the numbers of messages that were not added and what stands for them."""
        joined = holders or b""
        of_others = [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]
        standing = dict(zip(known or (), of_others, strict=True))
        found = [
            Enqueued(standing.get(number, message.id), number not in standing)
            for number, message in enumerate(self._sent, 1)
        ]
        if self._sent is self.messages:
            return found
        answers = {message.id: answer for message, answer in zip(self._sent, found, strict=True)}
        found = []
        for message in self.messages:
            answer = answers[message.id]
            found.append(answer)
            if answer.created:
                answers[message.id] = Enqueued(message.id, False)
        return found


def _first_of_each(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages without those whose ID came before."""
    found: dict[bytes, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return list(found.values())


class _Kinds:
    """Messages by what they have in common."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.numbers: list[int] = []
        self.due: list[int] = []
        """Times, delays with a minus sign, or 0."""
        self.queues: list[str] = []
        self.ranks: list[int] = []
        self.expires: list[int | None] = []
        self.result_ttls: list[int] = []
        self.max_lost: list[int] = []
        self.profiles: list[bytes] = []
        self._known: dict[tuple[object, ...], int] = {}

    def add(
        self, key: tuple[object, ...], run: Sequence[Message], payloads: Sequence[bytes]
    ) -> None:
        first = run[0]
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._known) + 1
            self.queues.append(first.queue)
            self.ranks.append(rank(first.priority))
            self.expires.append(None if first.expires is None else micros(first.expires))
            self.result_ttls.append(micros(first.result_ttl))
            self.max_lost.append(_most_lost(first))
            self.profiles.append(pack_profile(*key[1:8]))
        _check_size(max(map(len, payloads)), first)
        self.payloads += payloads
        self.numbers += [number] * len(run)
        self.due += [due(first)] * len(run)  # all of a run have the same delay


def _check_size(size: int, message: Message) -> None:
    """Refuse a payload that is too large.

    Raises:
        DriverError: it says what to do.
    """
    if size > VALUE_LIMIT:
        raise DriverError(
            f"A message must have at most {VALUE_LIMIT} bytes, got {size} ({message.task}). Store large "
            f"data elsewhere and pass a reference to it."
        )


def _most_lost(message: Message) -> int:
    return min(max(message.max_lost, -1), (1 << 31) - 1)


def due(message: Message) -> int:
    """Return when a message is due: a time, a delay with a minus sign, or 0 for now."""
    if message.eta is not None:
        return max(micros(message.eta), 0)
    return -max(micros(message.delay), 0) if message.delay else 0


def hashed(unique: Unique) -> bytes:
    """Return a unique key as it is stored: keys may be long, and hold any character."""
    return sha256(unique.key.encode("utf-8", "surrogatepass")).digest()


def period(unique: Unique) -> int | None:
    """Return the period of a unique key in microseconds."""
    return None if unique.period is None else micros(unique.period)
