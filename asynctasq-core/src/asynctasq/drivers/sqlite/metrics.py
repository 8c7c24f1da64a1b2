"""Counts of workers per minute and hour, and their latest outcomes."""

from collections.abc import Mapping

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import MetricFlush, MetricRow, RecentRow
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import (
    ADDED_UP_AT_ONCE,
    HOUR,
    Key,
    added,
    by_hour,
    counted,
    first_hour,
    first_minute,
    forgotten_since,
    position_of,
)
from asynctasq.driverkit.sql.metric_walk import MetricWalk, name_bytes, name_text
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.records import record

_SQL = queries("metrics")


@record
class AddMetrics:
    """The operation behind `SupportsMetrics.add_metrics`."""

    flush: MetricFlush

    def __call__(self, session: Session) -> None:
        flush, now = self.flush, session.now / 1e6
        source = name_bytes(flush.source)
        if session.rows(_SQL["add_flush"], {"source": source, "number": flush.number}):
            _add(session, 1, counted(flush, now))
            session.run_each(
                _SQL["set_recent"],
                [
                    {"queue": name_bytes(queue), "source": source, "data": data}
                    for queue, data in (flush.recent or {}).items()
                ],
            )
        _add_up(session, now)
        _forget(session, now)


def _add(session: Session, span: int, counts: Mapping[Key, bytes]) -> None:
    """Add counts to those that there are."""
    for (start, queue, task), more in counts.items():
        place = {
            "span": span,
            "start": start,
            "queue": name_bytes(queue),
            "task": name_bytes(task),
        }
        known = session.row(_SQL["counts"], place)
        counted_now = more if known is None else added([as_bytes(known[0]), more])
        session.run(_SQL["set_counts"], {**place, "counts": counted_now})


def _add_up(session: Session, now: float) -> None:
    """Add up some minutes to hours, of those that are old enough."""
    bound = {"first": first_minute(now), "bound": ADDED_UP_AT_ONCE}
    rows = session.rows(_SQL["old_minutes"], bound)
    if rows:
        _add(session, HOUR, by_hour((_key(row), as_bytes(row[3])) for row in rows))
        start, queue, task, _ = rows[-1]
        session.run(_SQL["delete_minutes"], {"start": start, "queue": queue, "task": task})


def _key(row: Row) -> Key:
    start, queue, task = row[:3]
    return int(start), name_text(as_bytes(queue)), name_text(as_bytes(task))


def _forget(session: Session, now: float) -> None:
    bound = {"bound": ADDED_UP_AT_ONCE, "since": micros(forgotten_since(now))}
    session.run(_SQL["forget_hours"], {"first": first_hour(now), **bound})
    session.run(_SQL["forget_sources"], bound)
    session.run(_SQL["forget_recent"], bound)


@record
class Metrics:
    """The operation behind `SupportsMetrics.metrics`."""

    walk: MetricWalk

    def __call__(self, session: Session) -> Page[MetricRow]:
        walk = self.walk
        first = session.row(_SQL["first_row"], walk.parameters)
        if first is None:
            return walk.page([])
        walk.begin_at(int(first[0]))
        return walk.page(
            (int(start), as_bytes(queue), as_bytes(task), source, as_bytes(counts))
            for start, queue, task, source, counts in session.rows(_SQL["rows"], walk.parameters)
        )


@record
class Recent:
    """The operation behind `SupportsMetrics.recent_outcomes`."""

    queue: str | None
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[RecentRow]:
        position = position_of("recent", self.cursor, (b"", b""))
        rows = session.rows(
            _SQL["recent"],
            {
                "of_queue": None if self.queue is None else name_bytes(self.queue),
                "queue": position[0],
                "source": position[1],
                "limit": max(self.limit, 1),
            },
        )
        items = [
            RecentRow(name_text(as_bytes(queue)), name_text(as_bytes(source)), as_bytes(data))
            for queue, source, data in rows
        ]
        is_full = len(rows) >= max(self.limit, 1)
        return Page(items, pack_cursor("recent", rows[-1][:2]) if is_full else None)
