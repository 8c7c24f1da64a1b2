"""Schedules: definitions, claims, and the transaction in which schedules fire."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.sql import name_bytes
from asynctasq.driverkit.times import FOREVER, micros, seconds
from asynctasq.errors import InvalidCursor
from asynctasq.message import Message
from asynctasq_mysql.clients import Answer
from asynctasq_mysql.enqueueing import enqueue_steps, pieces, rows_of
from asynctasq_mysql.schedule_rows import ScheduleRow, ScheduleTimes
from asynctasq_mysql.statements import Fragment, in_list, json_rows, literal, value_rows
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store
from asynctasq_mysql.unique_enqueueing import unique_enqueue_steps

log = logging.getLogger("asynctasq.mysql")

VERSION = 4
"""The version of the tables that have a place for these."""
PUT_BYTES = 1 << 18
"""Bytes of SQL that store definitions in one statement, unless a single one has more."""
PUT_ROWS = 500
TIMES_AT_ONCE = 100
"""Schedules whose times one statement sets."""
LISTING = "schedules"


# Claims.


async def look(store: Store) -> Claim:
    """Return the time, and when the next schedule can be claimed. Nothing is locked."""
    if store.version < VERSION:
        [[row]] = await store.run(store.sql.enqueue["now"](store.offset))
        return Claim((), seconds(row[0]), None)
    [[row]] = await store.run(_look(store))
    return _claim((), row)


def _look(store: Store) -> str:
    return store.sql.schedules["look"](store.offset, namespace=store.namespace, forever=FOREVER)


def _claim(schedules: Sequence[Schedule], row: Sequence[int | None]) -> Claim:
    now, next_at = row
    return Claim(schedules, seconds(now or 0), None if next_at is None else seconds(next_at))


async def claim(store: Store, *, limit: int, hold: float) -> Claim:
    """Claim schedules that are due. Finished ones among them are deleted."""
    return await store.transact(partial(_claim_steps, store, limit, micros(hold)))


def _claim_steps(store: Store, limit: int, hold: int) -> Steps[Claim]:
    sql = store.sql.schedules
    due, clock = yield Script(
        [
            sql["due"](store.offset, namespace=store.namespace, limit=limit),
            store.sql.enqueue["now"](store.offset),
        ]
    )
    claimed: list[ScheduleRow] = []
    finished: list[tuple[int]] = []
    damaged: list[int] = []
    for row in map(ScheduleRow, due.rows):
        assert row.n is not None
        if not row.is_whole:
            log.error("The record of schedule %r is damaged; it is not fired any more", row.id)
            damaged.append(row.n)
        elif row.next_at is None:
            finished.append((row.n,))
        else:
            claimed.append(row)
    texts: list[str] = []
    hidden = [row.n for row in claimed if row.n is not None]
    for numbers, until in ((hidden, int(clock.rows[0][0]) + hold), (damaged, None)):
        if numbers:
            texts.append(sql["hide"](numbers=in_list(numbers), until=until))
    if finished:
        texts.append(sql["delete"](rows=json_rows(finished)))
    *_, answer = yield Script([*texts, _look(store)], is_last=True)
    in_order = sorted((row.schedule() for row in claimed), key=lambda each: each.next_at or 0.0)
    return _claim(in_order, answer.rows[0])


# Firing.


async def fire(store: Store, firings: Sequence[Firing]) -> list[bool]:
    """Fire schedules, all in one transaction."""
    names = (message.queue for firing in firings for message in firing.messages)
    queues = await store.numbers(names, creates=True)
    attempts = count()
    # A known ID is an error at the first attempt, after which the call is repeated.
    return await store.transact(
        lambda: _fire_steps(store, firings, queues, all_new=next(attempts) == 0)
    )


def _fire_steps(
    store: Store, firings: Sequence[Firing], queues: dict[str, int], *, all_new: bool
) -> Steps[list[bool]]:
    locked, clock = yield _lock(store, "lock_running", (firing.id for firing in firings))
    now = int(clock.rows[0][0])
    times = {bytes(row[1]): ScheduleTimes(row) for row in locked.rows}
    answers: list[bool] = []
    messages: list[Message] = []
    for firing in firings:
        known = times.get(name_bytes(firing.id))
        fires = known is not None and known.fire(firing, now)
        answers.append(fires)
        if fires:
            messages += firing.messages
    texts = list(
        _set_times(store, [each.columns(now) for each in times.values() if each.has_fired])
    )
    if any(message.unique is not None for message in messages):
        yield Script(texts)
        yield from unique_enqueue_steps(store, messages, queues)
    elif all_new:
        texts += _inserts(store, messages, queues)
        yield Script(texts, is_last=True)
    else:
        yield Script(texts)
        yield from enqueue_steps(store, messages, queues)
    return answers


def _set_times(
    store: Store, rows: Sequence[tuple[int, int | None, int, int | None]]
) -> Iterator[str]:
    for some in batches(rows, TIMES_AT_ONCE):
        numbers, next_at, claimable_at, fired_at = zip(*some, strict=True)
        listed = in_list(numbers)
        yield store.sql.schedules["set_times"](
            numbers=listed,
            next_at=_by_number(listed, next_at),
            claimable_at=_by_number(listed, claimable_at),
            fired_at=_by_number(listed, fired_at),
        )


def _by_number(numbers: Fragment, values: Sequence[int | None]) -> Fragment:
    """Return the value of each row, in SQL."""
    if len(set(values)) == 1:
        return Fragment(literal(values[0]))
    return Fragment(f"ELT(FIELD(n,{numbers}),{','.join(map(literal, values))})")


def _inserts(store: Store, messages: Sequence[Message], queues: dict[str, int]) -> list[str]:
    """Return the statements that add messages, all of whose IDs must be new."""
    if not messages:
        return []
    sql = store.sql.enqueue
    rows = rows_of(store, messages, queues, 0)
    in_order = sorted(rows.values(), key=lambda row: row.id)
    return [sql["clock"](store.offset), *(sql["insert"](rows=each) for each in pieces(in_order))]


def _lock(store: Store, query: str, ids: Iterable[str]) -> Script:
    """Return the script that locks schedules, and reads the time afterwards."""
    text = store.sql.schedules[query](namespace=store.namespace, names=_names(ids))
    return Script([text, store.sql.enqueue["now"](store.offset)])


def _names(ids: Iterable[str]) -> Fragment:
    return in_list(sorted({name_bytes(each) for each in ids}))


# Definitions and changes.


async def put(store: Store, schedules: Sequence[Schedule]) -> list[int]:
    """Store definitions; return their revisions."""
    return await store.transact(partial(_put_steps, store, schedules))


def _put_steps(store: Store, schedules: Sequence[Schedule]) -> Steps[list[int]]:
    locked, clock = yield _lock(store, "lock", (each.id for each in schedules))
    now, rows = int(clock.rows[0][0]), _by_name(locked)
    revisions: list[int] = []
    for given in schedules:
        row = rows.get(name_bytes(given.id))
        if row is None:
            row = rows[name_bytes(given.id)] = ScheduleRow.new(given, now)
            revisions.append(row.revision)
        else:
            revisions.append(row.put(given, now))
    in_order = [rows[name] for name in sorted(rows)]
    new = [row for row in in_order if row.n is None]
    old = [row for row in in_order if row.n is not None]
    texts = [
        store.sql.schedules[query](rows=piece)
        for query, some in (("put", old), ("add", new))
        for piece in _pieces(some, store.namespace)
    ]
    yield Script(texts, is_last=True)
    return revisions


def _pieces(rows: Sequence[ScheduleRow], namespace: int) -> Iterator[Fragment]:
    """Yield rows as lists for one statement each."""
    texts = [value_rows([row.columns(namespace)]) for row in rows]
    for piece in batches(texts, PUT_ROWS, size=len, most_bytes=PUT_BYTES):
        yield Fragment(",\n".join(piece))


def _by_name(answer: Answer) -> dict[bytes, ScheduleRow]:
    return {row.id: row for row in map(ScheduleRow, answer.rows)}


async def change(store: Store, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
    """Change schedules, all in one transaction."""
    steps = _remove_steps if change is ScheduleChange.REMOVE else partial(_change_steps, change)
    return await store.transact(partial(steps, store, ids))


def _change_steps(change: ScheduleChange, store: Store, ids: Sequence[str]) -> Steps[list[bool]]:
    locked, clock = yield _lock(store, "lock", ids)
    now, rows = int(clock.rows[0][0]), _by_name(locked)
    answers: list[bool] = []
    changed: dict[bytes, ScheduleRow] = {}
    for name in map(name_bytes, ids):
        row = rows.get(name)
        applies = row is not None and row.change(change, now)
        answers.append(applies)
        if row is not None and applies:
            changed[name] = row
    if changed:
        states = json_rows(row.states() for row in changed.values())
        yield Script([store.sql.schedules["set_states"](rows=states)], is_last=True)
    return answers


def _remove_steps(store: Store, ids: Sequence[str]) -> Steps[list[bool]]:
    locked, _ = yield _lock(store, "lock_names", ids)
    left = {bytes(row[1]) for row in locked.rows}
    if left:
        numbers = json_rows((int(row[0]),) for row in locked.rows)
        yield Script([store.sql.schedules["delete"](rows=numbers)], is_last=True)
    answers: list[bool] = []
    for name in map(name_bytes, ids):
        answers.append(name in left)
        left.discard(name)
    return answers


# Listings.


async def find(store: Store, ids: Sequence[str]) -> list[Schedule | None]:
    """Return schedules by id, in order."""
    text = store.sql.schedules["find"](namespace=store.namespace, names=_names(ids))
    [found] = await store.run(text)
    known = {row.id: row.schedule() for row in map(ScheduleRow, found)}
    return [known.get(name_bytes(each)) for each in ids]


async def schedules(store: Store, *, limit: int, cursor: str | None) -> Page[Schedule]:
    """Return a page of schedules, in the order of their ids."""
    after: object = b""
    if cursor is not None:
        [after] = unpack_cursor(LISTING, cursor, length=1)
    if not isinstance(after, bytes):
        raise InvalidCursor(f"The cursor must come from a `Page` of schedules, got {cursor!r}.")
    most = max(limit, 0)
    text = store.sql.schedules["list"](namespace=store.namespace, after=after, limit=most + 1)
    [found] = await store.run(text)
    rows = [ScheduleRow(row) for row in found[:most]]
    more = len(found) > most and rows
    items = [each for each in (row.schedule() for row in rows) if each.id]
    return Page(items, pack_cursor(LISTING, (rows[-1].id,)) if more else None)
