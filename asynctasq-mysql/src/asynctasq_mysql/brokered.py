"""Ends, flags, marks and notes of messages that a broker holds."""

from collections.abc import Sequence
from functools import partial

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.marks import (
    FACT_OF_NOTE,
    Fact,
    check_adopted,
    check_ends,
    check_notes,
    mark_of,
    marked_for,
)
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.sql import DEAD, LEASED
from asynctasq.driverkit.times import micros
from asynctasq.message import State
from asynctasq_mysql.brokered_rows import Cell, adopted_row, check_size, end_row, packed
from asynctasq_mysql.settling import cancel_steps
from asynctasq_mysql.statements import json_of, value_rows
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

VERSION = 2
"""The version of the tables that have a place for these."""
AT_ONCE = 500
"""Messages of one transaction."""
BATCH_BYTES = 1 << 20
FORGET_EVERY = 1000
"""Facts after which this driver deletes those whose time is over."""
MOVED = b"moved"
"""The value of the fact ENDED for a message that has moved into the store."""


class Known:
    """Facts that the store keeps about some messages."""

    def __init__(self) -> None:
        self.facts: dict[int, dict[int, bytes]] = {}
        self.states: dict[int, int] = {}
        self.over: set[int] = set()
        """Places of outcomes whose time is over."""

    def has_past(self, place: int) -> bool:
        """Return whether a message is in the store, or has been."""
        return place in self.states or Fact.ENDED in self.facts.get(place, {})

    def mark(self, place: int) -> Mark:
        """Return the mark of a message."""
        facts, state = self.facts.get(place, {}), self.states.get(place)
        kinds = {
            Fact.MOVED if kind == Fact.ENDED and value == MOVED else kind
            for kind, value in facts.items()
        }
        return mark_of(
            kinds,
            waits=state is not None and state <= LEASED,
            has_ended=state is not None and state > LEASED,
        )


def _known(facts: Sequence[Sequence[object]], rows: Sequence[Sequence[object]], now: int) -> Known:
    found = Known()
    for number, fact, value in facts:
        assert isinstance(number, int)
        assert isinstance(fact, int)
        kept = value if isinstance(value, bytes) else b""
        found.facts.setdefault(number - 1, {})[fact] = kept
    for number, state, alarm_at, *_ in rows:
        assert isinstance(number, int)
        assert isinstance(state, int)
        is_over = state > DEAD and (not isinstance(alarm_at, int) or alarm_at <= now)
        if is_over:
            found.over.add(number - 1)
        else:
            found.states[number - 1] = state
    return found


def _look(store: Store, ids: Sequence[bytes]) -> Steps[tuple[Known, int]]:
    """Lock the ends of messages, in the order of their IDs; return what is known, and the time."""
    sql, namespace = store.sql.brokered, store.namespace
    named = json_of(ids)
    locks = sql["lock_ends"](rows=value_rows((each, namespace, Fact.ENDED, 0) for each in ids))
    _, clock = yield Script([locks, store.sql.enqueue["now"](store.offset)])
    now: int = clock.rows[0][0]
    facts, rows = yield Script(
        [
            sql["facts"](ids=named, namespace=namespace, now=now),
            sql["known"](store.offset, ids=named, namespace=namespace),
        ]
    )
    return _known(facts.rows, rows.rows, now), now


async def finish(store: Store, ends: Sequence[Ended]) -> list[bool]:
    """Keep the ends of messages.

    Raises:
        DriverError: an end is invalid or too large; nothing is kept.
    """
    check_ends(ends)
    for end in ends:
        check_id(end.message.id)
        check_size(store, len(end.result or b"") + len(end.about), "A result")
    numbers = await store.numbers((end.message.queue for end in ends), creates=True)
    first = {end.message.id: end for end in reversed(ends)}
    done: set[bytes] = set()
    for some in batches(
        sorted(first.values(), key=lambda end: end.message.id),
        AT_ONCE,
        size=lambda end: len(end.result or b"") + len(end.message.body),
        most_bytes=BATCH_BYTES,
    ):
        done |= await store.transact(partial(_finish_steps, store, some, numbers))
    store.dead_since_prune += sum(end.state is State.DEAD for end in ends)
    await _forget(store, len(ends))
    return _once_each([end.message.id for end in ends], done)


def _finish_steps(
    store: Store, ends: Sequence[Ended], numbers: dict[str, int]
) -> Steps[set[bytes]]:
    ids = [end.message.id for end in ends]
    known, now = yield from _look(store, ids)
    chosen = [place for place in range(len(ends)) if not known.has_past(place)]
    rows = [end_row(store, ends[place], numbers, now) for place in chosen]
    facts: list[tuple[Cell, ...]] = [
        (ids[p], store.namespace, Fact.ENDED, now + micros(marked_for(ends[p].result_ttl)), None)
        for p in chosen
    ]
    return (yield from _write(store, [ids[place] for place in chosen], rows, facts))


def _write(
    store: Store,
    ids: Sequence[bytes],
    rows: Sequence[Sequence[Cell]],
    facts: Sequence[Sequence[Cell]],
) -> Steps[set[bytes]]:
    """Write messages or outcomes with their facts, and commit."""
    sql, namespace = store.sql.brokered, store.namespace
    if not ids:
        yield Script([], is_last=True)
        return set()
    named = json_of(ids)
    yield Script(
        [
            sql["drop_facts"](ids=named, namespace=namespace),
            sql["keep_facts"](rows=value_rows(facts)),
            store.sql.enqueue["forget"](ids=named, namespace=namespace),
            sql["add"](rows=value_rows(rows)),
        ],
        is_last=True,
    )
    return set(ids)


async def adopt(store: Store, records: Sequence[Adopted]) -> list[bool]:
    """Enqueue messages with their past.

    Raises:
        DriverError: a number is not finite, or a message is too large; nothing is enqueued.
    """
    check_adopted(records)
    for each in records:
        check_id(each.message.id)
        packed(store, each.message)
    numbers = await store.numbers((each.message.queue for each in records), creates=True)
    first = {each.message.id: each for each in reversed(records)}
    done: set[bytes] = set()
    for some in batches(
        sorted(first.values(), key=lambda each: each.message.id),
        AT_ONCE,
        size=lambda each: len(each.message.body),
        most_bytes=BATCH_BYTES,
    ):
        done |= await store.transact(partial(_adopt_steps, store, some, numbers))
    await _forget(store, len(records))
    return _once_each([each.message.id for each in records], done)


def _adopt_steps(
    store: Store, records: Sequence[Adopted], numbers: dict[str, int]
) -> Steps[set[bytes]]:
    ids = [each.message.id for each in records]
    known, now = yield from _look(store, ids)
    chosen = [place for place in range(len(records)) if not known.has_past(place)]
    rows: list[Sequence[Cell]] = []
    facts: list[tuple[Cell, ...]] = []
    for place in chosen:
        each, about = records[place], known.facts.get(place, {})
        marked = now + micros(marked_for(each.message.result_ttl))
        facts.append((ids[place], store.namespace, Fact.ENDED, marked, MOVED))
        if Fact.FLAGGED in about:
            ttl = each.message.result_ttl
            end = Ended(each.message, State.CANCELLED, each.enqueued_at, result_ttl=ttl)
            rows.append(end_row(store, end, numbers, now))
        else:
            rows.append(adopted_row(store, each, numbers, now, about.get(Fact.PROGRESS)))
    return (yield from _write(store, [ids[place] for place in chosen], rows, facts))


async def flag(store: Store, ids: Sequence[bytes], ttl: float) -> list[CancelOutcome]:
    """Cancel messages, and flag those that are unknown."""
    answers: list[CancelOutcome] = []
    for some in batches(ids, AT_ONCE):
        answers += await store.transact(partial(_flag_steps, store, some, micros(ttl)))
    await _forget(store, len(ids))
    return answers


def _flag_steps(store: Store, ids: Sequence[bytes], ttl: int) -> Steps[list[CancelOutcome]]:
    for message_id in ids:
        check_id(message_id)
    named = sorted(set(ids))
    known, now = yield from _look(store, named)
    answers = yield from cancel_steps(store, ids, is_last=False)
    places = {message_id: place for place, message_id in enumerate(named)}
    flagged: dict[bytes, Sequence[Cell]] = {}
    for number, message_id in enumerate(ids):
        if answers[number] is not CancelOutcome.UNKNOWN:
            continue
        if Fact.ENDED in known.facts.get(places[message_id], {}):
            answers[number] = CancelOutcome.TOO_LATE
        else:
            answers[number] = CancelOutcome.REQUESTED
            flagged[message_id] = (message_id, store.namespace, Fact.FLAGGED, now + ttl, None)
    texts = []
    if flagged:
        rows = [flagged[message_id] for message_id in sorted(flagged)]
        texts.append(store.sql.brokered["keep_facts"](rows=value_rows(rows)))
    yield Script(texts, is_last=True)
    return answers


async def marks(store: Store, ids: Sequence[bytes]) -> list[Mark]:
    """Return the marks of messages."""
    found: list[Mark] = []
    for some in batches(ids, AT_ONCE):
        for message_id in some:
            check_id(message_id)
        named, sql = json_of(some), store.sql.brokered
        facts, rows, clock = await store.run(
            sql["current_facts"](store.offset, ids=named, namespace=store.namespace),
            sql["known"](store.offset, ids=named, namespace=store.namespace),
            store.sql.enqueue["now"](store.offset),
        )
        now = clock[0][0]
        assert isinstance(now, int)
        known = _known(facts, rows, now)
        found += [known.mark(place) for place in range(len(some))]
    return found


async def note(store: Store, notes: Sequence[Note]) -> None:
    """Keep notes about messages."""
    check_notes(notes)
    latest = {(each.id, FACT_OF_NOTE[each.kind].value): each for each in notes}
    for some in batches(
        sorted(latest), AT_ONCE, size=lambda key: len(latest[key].value), most_bytes=BATCH_BYTES
    ):
        await store.transact(partial(_note_steps, store, [latest[key] for key in some]))
    await _forget(store, len(notes))


def _note_steps(store: Store, notes: Sequence[Note]) -> Steps[None]:
    ids = sorted({each.id for each in notes})
    known, now = yield from _look(store, ids)
    places = {message_id: place for place, message_id in enumerate(ids)}
    rows = [
        (
            each.id,
            store.namespace,
            FACT_OF_NOTE[each.kind].value,
            now + micros(each.ttl),
            each.value,
        )
        for each in notes
        if not known.has_past(places[each.id])
    ]
    texts = [store.sql.brokered["keep_facts"](rows=value_rows(rows))] if rows else []
    yield Script(texts, is_last=True)


async def with_noted(
    store: Store, ids: Sequence[bytes], found: list[bytes | None]
) -> list[bytes | None]:
    """Return progress with that of messages that a broker holds."""
    if None not in found or store.version < VERSION:
        return found
    for start in range(0, len(ids), AT_ONCE):
        named = json_of(ids[start : start + AT_ONCE])
        [rows] = await store.run(
            store.sql.brokered["current_facts"](store.offset, ids=named, namespace=store.namespace)
        )
        for number, fact, value in rows:
            assert isinstance(number, int)
            place = start + number - 1
            if fact == Fact.PROGRESS and found[place] is None and isinstance(value, bytes):
                found[place] = value
    return found


async def _forget(store: Store, added: int) -> None:
    """Delete facts whose time is over, once in a while."""
    store.facts_added += added
    if store.facts_added >= FORGET_EVERY:
        store.facts_added = 0
        await store.run(store.sql.brokered["forget_facts"](store.offset, namespace=store.namespace))


def _once_each(ids: Sequence[bytes], done: set[bytes]) -> list[bool]:
    """Return True at the first place of each ID that is done."""
    left = set(done)
    answers: list[bool] = []
    for message_id in ids:
        answers.append(message_id in left)
        left.discard(message_id)
    return answers
