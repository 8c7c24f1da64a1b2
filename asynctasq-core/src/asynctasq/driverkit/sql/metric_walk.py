"""A page of counts from a table, and where the next one begins."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, TypeAlias

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import METRIC_ROWS_AT_ONCE, MetricRow
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import HOUR, metric_row, position_of

WINDOW = 60
"""Spans of time that one page covers at most: so many minutes or hours."""
LISTING = "metrics"
Found: TypeAlias = Sequence[Any]
"""Start, queue, task, source and counts of a row."""


def name_bytes(name: str) -> bytes:
    """Return a name as it is stored: any text, compared byte by byte."""
    return name.encode("utf-8", "surrogatepass")


def name_text(stored: bytes) -> str:
    """Return a stored name, which may be damaged."""
    return stored.decode("utf-8", "replace" if _is_damaged(stored) else "surrogatepass")


def _is_damaged(stored: bytes) -> bool:
    try:
        stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return True
    return False


class MetricWalk:
    """One step through the rows of a span of time: hours first, then minutes.

    Ask for the first row behind `parameters`, pass its start to `begin_at`, read the rows, and make a `page`.
    """

    def __init__(
        self,
        *,
        since: float,
        until: float,
        queue: str | None,
        task: str | None,
        limit: int,
        cursor: str | None,
    ) -> None:
        """Go on behind the cursor. The arguments are those of `SupportsMetrics.metrics`."""
        self._since = _minute(since)
        self._until = _minute(until)
        self._limit = max(min(limit, METRIC_ROWS_AT_ONCE), 1)
        position = position_of(LISTING, cursor, (HOUR, self._since, b"", b"", 0))
        self._span, self._start, self._queue, self._task, self._source = position
        self._end = self._until
        self._of_queue = None if queue is None else name_bytes(queue)
        is_prefix = task is not None and task.endswith("*")
        self._of_task = None if task is None or is_prefix else name_bytes(task)
        self._of_prefix = name_bytes(task[:-1]) if task is not None and is_prefix else None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the statements."""
        return {
            "span": self._span,
            "start": self._start,
            "end": self._end,
            "behind_queue": self._queue,
            "behind_task": self._task,
            "behind_source": self._source,
            "of_queue": self._of_queue,
            "of_task": self._of_task,
            "of_prefix": self._of_prefix,
            "limit": self._limit,
        }

    def begin_at(self, start: int) -> None:
        """Limit the step to the spans that begin at the first row that there is."""
        if start > self._start:
            self._start, self._queue, self._task, self._source = start, b"", b"", 0
        self._end = min(self._until, start + WINDOW * self._span)

    def page(self, found: Iterable[Found], last: Sequence[Any] = ()) -> Page[MetricRow]:
        """Return a page of rows, in order of start, queue, task and source.

        Args:
            found: all rows of the step; empty if there is no first row.
            last: place of the last row, if the order is another one: its start, and what it is ordered by.
        """
        rows = list(found)
        items = [
            metric_row((start, name_text(queue), name_text(task)), self._span, counts)
            for start, queue, task, _, counts in rows
        ]
        if len(rows) >= self._limit:
            return Page(items, pack_cursor(LISTING, (self._span, *(last or rows[-1][:4]))))
        if self._end < self._until:
            return Page(items, pack_cursor(LISTING, (self._span, self._end, b"", b"", 0)))
        if self._span == HOUR:
            return Page(items, pack_cursor(LISTING, (1, self._since, b"", b"", 0)))
        return Page(items)


def _minute(moment: float) -> int:
    return ceil(min(max(moment, 0.0), 1e12) / 60)
