"""Ends, flags, marks and notes of messages that a broker holds."""

from collections.abc import Sequence
from typing import Any

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.marks import FACT_OF_NOTE, Fact, mark_of, marked_for
from asynctasq.driverkit.packing import pack_error
from asynctasq.driverkit.sql import BLOCKED, DEAD, LEASED, rank
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.drivers.sqlite.codec import VALUE_LIMIT, join_ids
from asynctasq.drivers.sqlite.enqueueing import group_messages, insert_group
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes, as_micros
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.settling import cancel_all
from asynctasq.drivers.sqlite.steps import Steps
from asynctasq.errors import DriverError
from asynctasq.message import Message, State
from asynctasq.records import record

_SQL = queries("brokered")
_ENQUEUE = queries("enqueue")
_STATES = queries("inspect")["states"]
COMPLETED, CANCELLED = 7, 8
_HELD = range(BLOCKED + 1)
_PAST = frozenset({Fact.ENDED, Fact.MOVED})


class Known:
    """Facts that the store keeps about some messages, without outcomes whose time is over."""

    def __init__(self) -> None:
        self.facts: dict[int, dict[int, bytes]] = {}
        """Facts by place, with their values."""
        self.waiting: set[int] = set()
        """Places of messages that wait or run."""
        self.ended: set[int] = set()
        """Places of dead letters, outcomes and messages whose state is damaged."""
        self.over: set[int] = set()
        """Places of outcomes whose time is over."""

    def of(self, place: int) -> dict[int, bytes]:
        return self.facts.get(place, {})

    def has_past(self, place: int) -> bool:
        """Return whether a message was here, or has ended."""
        return place in self.waiting or place in self.ended or not _PAST.isdisjoint(self.of(place))

    def mark(self, place: int) -> Mark:
        return mark_of(self.of(place), waits=place in self.waiting, has_ended=place in self.ended)


def known_of(ids: Sequence[bytes], now: int) -> Steps[Known]:
    """Return what the store knows about messages."""
    known = Known()
    joined, index = join_ids(ids)
    named = {"ids": joined, "index": index}
    for place, state, forget_at in (yield _STATES, named):
        if type(state) is int and (state in _HELD or state == LEASED):
            known.waiting.add(place)
        elif type(state) is not int or state <= DEAD or as_micros(forget_at) > now:
            known.ended.add(place)
        else:
            known.over.add(place)
    for place, fact, value in (yield _SQL["facts"], named):
        if type(fact) is int:
            known.facts.setdefault(place, {})[fact] = as_bytes(value)
    return known


def _keep(message_id: bytes, fact: Fact, ttl: float, value: bytes | None = None) -> Steps[None]:
    yield _SQL["keep_fact"], {"id": message_id, "fact": fact, "value": value, "ttl": micros(ttl)}


def _replace_facts(message_id: bytes, fact: Fact, ttl: float) -> Steps[None]:
    """Keep one fact about a message, and no other."""
    yield _SQL["drop_facts"], {"id": message_id}
    yield from _keep(message_id, fact, ttl)


@record
class Finish:
    """The operation behind `SupportsState.finish`."""

    ends: Sequence[Ended]

    def __call__(self, session: Session) -> list[bool]:
        answers = session.follow(_finish_all(self.ends, session.now))
        session.dead_since_prune += sum(end.state is State.DEAD for end in self.ends)
        return answers


def check_sizes(ends: Sequence[Ended]) -> None:
    """Refuse results that SQLite cannot keep.

    Raises:
        DriverError: a result is too large.
    """
    for end in ends:
        if len(end.result or b"") > VALUE_LIMIT:
            raise DriverError(
                f"A result must have at most {VALUE_LIMIT} bytes, got {len(end.result or b'')}. "
                f"Store large data elsewhere and return a reference to it."
            )


def _finish_all(ends: Sequence[Ended], now: int) -> Steps[list[bool]]:
    known = yield from known_of([end.message.id for end in ends], now)
    seen: set[bytes] = set()
    answers = []
    for place, end in enumerate(ends):
        message_id = end.message.id
        is_new = message_id not in seen and not known.has_past(place)
        seen.add(message_id)
        answers.append(is_new)
        if is_new:
            yield from _remove_old(message_id, place in known.over)
            yield from _replace_facts(message_id, Fact.ENDED, marked_for(end.result_ttl))
            yield from _bury(end) if end.state is State.DEAD else _add_outcome(end)
    return answers


def _remove_old(message_id: bytes, is_there: bool) -> Steps[None]:
    """Delete an outcome whose time is over."""
    if is_there:
        yield _ENQUEUE["forget"], {"id": message_id}


def _bury(end: Ended) -> Steps[None]:
    """Keep a whole dead letter."""
    yield from _insert(end.message)
    assert end.reason is not None  # `check_ends` has made sure
    yield (
        _SQL["bury"],
        {
            "id": end.message.id,
            "reason": end.reason.value,
            "error": pack_error(end.error),
            "enqueued_at": micros(end.enqueued_at),
            "attempt": end.attempts,
            "lost": end.lost,
            "about": end.about or None,
        },
    )


def _insert(message: Message) -> Steps[None]:
    for group in group_messages([message]):
        yield from insert_group(group)


def _add_outcome(end: Ended) -> Steps[None]:
    message = end.message
    [(queue,)] = yield message.queue
    is_completed = end.state is State.COMPLETED
    yield (
        _SQL["add_outcome"],
        {
            "id": message.id,
            "queue": queue,
            "state": COMPLETED if is_completed else CANCELLED,
            "rank": rank(message.priority),
            "enqueued_at": micros(end.enqueued_at),
            "result_ttl": micros(message.result_ttl),
            "max_lost": message.max_lost,
            "keep": micros(kept_for(end.result_ttl)),
            "about": end.about or None,
            "result": end.result if is_completed and end.result_ttl > 0.0 else None,
        },
    )


@record
class Flag:
    """The operation behind `SupportsState.flag`."""

    ids: Sequence[bytes]
    ttl: float

    def __call__(self, session: Session) -> list[CancelOutcome]:
        return session.follow(_flag_all(self.ids, self.ttl, session.now))


def _flag_all(ids: Sequence[bytes], ttl: float, now: int) -> Steps[list[CancelOutcome]]:
    answers = yield from cancel_all(ids, now)
    known = yield from known_of(ids, now)
    for place, message_id in enumerate(ids):
        if answers[place] is not CancelOutcome.UNKNOWN:
            continue
        if known.has_past(place):
            answers[place] = CancelOutcome.TOO_LATE
        else:
            yield from _keep(message_id, Fact.FLAGGED, ttl)
            answers[place] = CancelOutcome.REQUESTED
    return answers


@record
class Marks:
    """The operation behind `SupportsState.marks`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[Mark]:
        known = session.follow(known_of(self.ids, session.now))
        return [known.mark(place) for place in range(len(self.ids))]


@record
class Adopt:
    """The operation behind `SupportsState.adopt`."""

    records: Sequence[Adopted]

    def __call__(self, session: Session) -> list[bool]:
        return session.follow(_adopt_all(self.records, session.now))


def _adopt_all(records: Sequence[Adopted], now: int) -> Steps[list[bool]]:
    known = yield from known_of([each.message.id for each in records], now)
    seen: set[bytes] = set()
    answers = []
    for place, each in enumerate(records):
        message = each.message
        is_new = message.id not in seen and not known.has_past(place)
        seen.add(message.id)
        answers.append(is_new)
        if is_new:
            facts = known.of(place)
            yield from _remove_old(message.id, place in known.over)
            yield from _replace_facts(message.id, Fact.MOVED, marked_for(message.result_ttl))
            if Fact.FLAGGED in facts:
                yield from _add_outcome(
                    Ended(message, State.CANCELLED, each.enqueued_at, None, message.result_ttl)
                )
            else:
                yield from _adopt(each, facts.get(Fact.PROGRESS))
    return answers


def _adopt(adopted: Adopted, progress: bytes | None) -> Steps[None]:
    yield from _insert(adopted.message)
    past: dict[str, Any] = {
        "id": adopted.message.id,
        "due_at": micros(adopted.due_at),
        "enqueued_at": micros(adopted.enqueued_at),
        "attempt": adopted.attempt,
        "lost": adopted.lost,
        "error": pack_error(adopted.error),
        "progress": progress,
    }
    yield _SQL["give_past"], past


@record
class TakeNotes:
    """The operation behind `SupportsState.note`."""

    notes: Sequence[Note]

    def __call__(self, session: Session) -> None:
        session.follow(_note_all(self.notes, session.now))


def _note_all(notes: Sequence[Note], now: int) -> Steps[None]:
    known = yield from known_of([note.id for note in notes], now)
    for place, note in enumerate(notes):
        if not known.has_past(place):
            yield from _keep(note.id, FACT_OF_NOTE[note.kind], note.ttl, note.value)
