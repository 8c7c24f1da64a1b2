"""Counts of workers per minute and hour, and their latest outcomes."""

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import Any

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import MetricFlush, MetricRow, RecentRow
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import (
    ADDED_UP_AT_ONCE,
    HOUR,
    Key,
    added,
    by_hour,
    check_flush,
    counted,
    first_hour,
    first_minute,
    forgotten_since,
    position_of,
)
from asynctasq.driverkit.sql.metric_walk import MetricWalk, name_bytes, name_text
from asynctasq.driverkit.times import micros
from asynctasq_mysql.clients import Row
from asynctasq_mysql.statements import Value, json_rows, value_rows
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

VERSION = 3
"""The version of the tables that have a place for these."""
UPKEEP = bytes(32)
"""The hash of the row that is the lock of the upkeep."""
NEVER = 1 << 62


def _hash(*names: bytes) -> bytes:
    """Return a hash of names of any length, in this order."""
    return sha256(b"".join(len(name).to_bytes(4, "big") + name for name in names)).digest()


async def add_metrics(store: Store, flush: MetricFlush) -> None:
    """Add a flush, and do a piece of the upkeep."""
    check_flush(flush)
    await store.transact(partial(_flush_steps, store, flush))
    await store.transact(partial(_upkeep_steps, store))


def _flush_steps(store: Store, flush: MetricFlush) -> Steps[None]:
    sql, own = store.sql.metrics, name_bytes(flush.source)
    source: dict[str, Value] = {"namespace": store.namespace, "hash": _hash(own)}
    _, answer = yield Script(
        [sql["lock_source"](store.offset, **source), sql["source"](store.offset, **source)]
    )
    number, now = map(int, answer.rows[0])
    if number >= flush.number:
        return
    yield from _add(store, 1, counted(flush, now / 1e6), own)
    texts = [sql["set_source"](store.offset, number=flush.number, **source)]
    if flush.recent:
        rows = [
            (store.namespace, _hash(queue, own), _hash(queue), queue, own, data, now)
            for queue, data in ((name_bytes(name), data) for name, data in flush.recent.items())
        ]
        texts.append(sql["set_recent"](rows=value_rows(rows)))
    yield Script(texts, is_last=True)


def _add(store: Store, span: int, counts: Mapping[Key, bytes], source: bytes) -> Steps[None]:
    """Add counts to those that there are of a source; empty for hours."""
    if not counts:
        return
    sql = store.sql.metrics
    places = [
        (start, _hash(name_bytes(queue), name_bytes(task), source)) for start, queue, task in counts
    ]
    look = sql["counts"](namespace=store.namespace, span=span, places=json_rows(places))
    [answer] = yield Script([look])
    known = {int(number) - 1: bytes(data) for number, data in answer.rows}
    rows = [
        (
            store.namespace,
            span,
            *places[place],
            name_bytes(queue),
            name_bytes(task),
            added([known[place], more]) if place in known else more,
        )
        for place, ((_, queue, task), more) in enumerate(counts.items())
    ]
    yield Script([sql["set_counts"](rows=value_rows(rows))])


def _upkeep_steps(store: Store) -> Steps[None]:
    """Add up some old minutes, and delete what is too old. One worker does this at a time."""
    sql, space = store.sql.metrics, {"namespace": store.namespace}
    [clock] = yield Script([sql["now"](store.offset)])
    now = int(clock.rows[0][0]) / 1e6
    minute, hour = first_minute(now), first_hour(now)
    since = micros(forgotten_since(now))
    [answer] = yield Script([sql["is_due"](minute=minute, hour=hour, since=since, **space)])
    if not answer.rows[0][0]:
        return
    [locked, there] = yield Script(
        [sql[name](hash=UPKEEP, **space) for name in ("try_lock", "is_lock_there")]
    )
    if not locked.rows:
        if there.rows[0][0]:
            return
        yield Script([sql["make_lock"](hash=UPKEEP, never=NEVER, **space)])
    bound = {"bound": ADDED_UP_AT_ONCE, **space}
    [answer] = yield Script([sql["old_minutes"](minute=minute, **bound)])
    if answer.rows:
        hours = by_hour((_key(row), _bytes(row[4])) for row in answer.rows)
        yield from _add(store, HOUR, hours, b"")
        start, last = answer.rows[-1][:2]
        yield Script([sql["delete_minutes"](start=int(start), hash=_bytes(last), **space)])
    yield Script(
        [
            sql["forget_hours"](hour=hour, **bound),
            sql["forget_sources"](since=since, **bound),
            sql["forget_recent"](since=since, **bound),
        ],
        is_last=True,
    )


def _key(row: Row) -> Key:
    return int(row[0]), name_text(_bytes(row[2])), name_text(_bytes(row[3]))


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


async def metrics(store: Store, walk: MetricWalk) -> Page[MetricRow]:
    """Return a page of counts, in order of their hashes."""
    sql = store.sql.metrics
    [first] = await store.run(sql["first_row"](**_place(store, walk)))
    if not first:
        return walk.page([])
    walk.begin_at(int(first[0][0]))
    given = walk.parameters
    filters = {name: given[name] for name in ("of_queue", "of_task", "of_prefix", "limit")}
    [rows] = await store.run(sql["rows"](**_place(store, walk), **filters))
    found = [
        (int(start), _bytes(queue), _bytes(task), _bytes(place), _bytes(counts))
        for start, queue, task, place, counts in rows
    ]
    last = (found[-1][0], found[-1][3], b"", 0) if found else ()
    return walk.page(found, last)


def _place(store: Store, walk: MetricWalk) -> dict[str, Any]:
    given = walk.parameters
    place = {name: given[name] for name in ("span", "start", "end")}
    return {"namespace": store.namespace, "behind": given["behind_queue"], **place}


async def recent_outcomes(
    store: Store, *, queue: str | None, limit: int, cursor: str | None
) -> Page[RecentRow]:
    """Return a page of the latest outcomes, in order of their hashes."""
    most = max(limit, 1)
    [behind] = position_of("recent", cursor, (b"",))
    place = {"namespace": store.namespace, "behind": behind, "limit": most}
    sql = store.sql.metrics
    if queue is None:
        text = sql["recent"](**place)
    else:
        text = sql["recent_of_queue"](queue_hash=_hash(name_bytes(queue)), **place)
    [rows] = await store.run(text)
    items = [
        RecentRow(name_text(_bytes(row[1])), name_text(_bytes(row[2])), _bytes(row[3]))
        for row in rows
    ]
    is_full = len(rows) == most
    return Page(items, pack_cursor("recent", (_bytes(rows[-1][0]),)) if is_full else None)
