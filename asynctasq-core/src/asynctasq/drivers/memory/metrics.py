"""Counts of workers per minute and hour, and their latest outcomes."""

from collections.abc import Iterator
from math import ceil

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq.counts import sum_counts
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import (
    ADDED_UP_AT_ONCE,
    HOUR,
    Key,
    by_hour,
    check_flush,
    counted,
    first_hour,
    first_minute,
    forgotten_since,
    metric_row,
    position_of,
)
from asynctasq.driverkit.selection import matches_task


class Metrics:
    """Counts by span, queue and task; all sources are added up at once."""

    def __init__(self) -> None:
        self.minutes: dict[Key, bytes] = {}
        self.hours: dict[Key, bytes] = {}
        self.numbers: dict[str, tuple[int, float]] = {}
        """The last flush of each source, and its time."""
        self.recent: dict[tuple[str, str], tuple[bytes, float]] = {}
        """Latest outcomes by queue and source, with the time of the flush."""

    def add(self, flush: MetricFlush, now: float) -> None:
        """Add a flush, unless it was added before; then do a piece of the upkeep."""
        check_flush(flush)
        if not self._was_added(flush):
            for key, counts in counted(flush, now).items():
                self._add(self.minutes, key, counts)
            for queue, data in (flush.recent or {}).items():
                self.recent[queue, flush.source] = (data, now)
            self.numbers[flush.source] = (flush.number, now)
        self._add_up(now)
        self._forget(now)

    def _was_added(self, flush: MetricFlush) -> bool:
        number, _ = self.numbers.get(flush.source, (-1, 0.0))
        return flush.number <= number

    def _add(self, spans: dict[Key, bytes], key: Key, counts: bytes) -> None:
        known = spans.get(key)
        spans[key] = counts if known is None else sum_counts((known, counts))

    # Upkeep.

    def _add_up(self, now: float) -> None:
        """Add up minutes to hours once they are old enough."""
        first = self._first_minute(now)
        old = [key for key in self.minutes if key[0] < first][:ADDED_UP_AT_ONCE]
        for key, counts in by_hour((key, self.minutes.pop(key)) for key in old).items():
            self._add(self.hours, key, counts)

    def _first_minute(self, now: float) -> int:
        return first_minute(now)

    def _forget(self, now: float) -> None:
        first = self._first_hour(now)
        for key in [key for key in self.hours if key[0] < first]:
            del self.hours[key]
        since = forgotten_since(now)
        for source in [each for each, (_, at) in self.numbers.items() if at <= since]:
            del self.numbers[source]
        for place in [each for each, (_, at) in self.recent.items() if at <= since]:
            del self.recent[place]

    def _first_hour(self, now: float) -> int:
        return first_hour(now)

    # Answers.

    def page(
        self,
        *,
        since: float,
        until: float,
        queue: str | None,
        task: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[MetricRow]:
        """Return a page of rows, hours first."""
        position = position_of("m", cursor, (-1, 0, "", ""))
        rows: list[MetricRow] = []
        for place, key in self._places(ceil(since / 60), until / 60):
            if place <= position or not self._is_wanted(key, queue, task):
                continue
            if len(rows) >= min(limit, METRIC_ROWS_AT_ONCE):
                return Page(rows, pack_cursor("m", position))
            spans, span = (self.minutes, 1) if place[0] else (self.hours, HOUR)
            rows.append(metric_row(key, span, spans[key]))
            position = place
        return Page(rows)

    def _places(self, since: int, until: float) -> Iterator[tuple[tuple[int, int, str, str], Key]]:
        for number, spans in enumerate((self.hours, self.minutes)):
            for key in sorted(key for key in spans if since <= key[0] < until):
                yield (number, *key), key

    def _is_wanted(self, key: Key, queue: str | None, task: str | None) -> bool:
        return (queue is None or key[1] == queue) and (task is None or matches_task(key[2], task))

    def latest(self, *, queue: str | None, limit: int, cursor: str | None) -> Page[RecentRow]:
        """Return a page of the latest outcomes."""
        position = position_of("r", cursor, ("", ""))
        places = sorted(
            place for place in self.recent if place > position and queue in (None, place[0])
        )
        shown = places[: max(limit, 1)]
        rows = [RecentRow(*place, self.recent[place][0]) for place in shown]
        return Page(rows, pack_cursor("r", shown[-1]) if len(places) > len(shown) else None)
