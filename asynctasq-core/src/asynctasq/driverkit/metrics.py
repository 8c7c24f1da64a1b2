"""Counts of workers in a store: which are kept, for how long, and how they are added up."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from asynctasq.contracts.capabilities.metrics import (
    AHEAD_SECONDS,
    HOURS_KEPT_SECONDS,
    MINUTES_KEPT_SECONDS,
    MetricFlush,
    MetricRow,
)
from asynctasq.counts import sum_counts
from asynctasq.driverkit.cursors import unpack_cursor
from asynctasq.errors import DriverError, InvalidCursor

HOUR = 60
"""Minutes of an hour."""
ROWS_OF_A_FLUSH = 2000
"""Rows of one flush, at most."""
ADDED_UP_AT_ONCE = 1000
"""Rows that one call adds up or deletes, at most, so that no call takes long."""
Key: TypeAlias = tuple[int, str, str]
"""Begin of a span, in minutes since the Unix epoch; queue; task."""


def check_flush(flush: MetricFlush) -> None:
    """Check the numbers of a flush.

    Raises:
        DriverError: a number is not valid, or there are too many rows.
    """
    if len(flush.rows) > ROWS_OF_A_FLUSH:
        raise DriverError(
            f"A flush must have at most {ROWS_OF_A_FLUSH} rows, got {len(flush.rows)}. Flush it in pieces."
        )
    for name, value in (
        ("number", flush.number),
        *(("minute", row.minute) for row in flush.rows),
    ):
        if type(value) is not int or not 0 <= value < 1 << 53:
            raise DriverError(f"{name} of a flush must be an int from 0, got {value!r}.")


def first_minute(now: float) -> int:
    """Return the first minute whose counts are not added up to hours yet."""
    return int((now - MINUTES_KEPT_SECONDS) // 3600) * HOUR


def first_hour(now: float) -> int:
    """Return the minute at which the first hour begins whose counts are still kept."""
    return int((now - HOURS_KEPT_SECONDS) // 60)


def forgotten_since(now: float) -> float:
    """Return the time up to which sources and their latest outcomes are forgotten."""
    return now - MINUTES_KEPT_SECONDS


def counted(flush: MetricFlush, now: float) -> dict[Key, bytes]:
    """Return the counts of a flush that a store adds, by key, in order of the keys."""
    first, last = first_minute(now), (now + AHEAD_SECONDS) // 60
    parts: dict[Key, list[bytes]] = {}
    for row in flush.rows:
        if first <= row.minute <= last:
            parts.setdefault((row.minute, row.queue, row.task), []).append(row.counts)
    return {key: added(parts[key]) for key in sorted(parts)}


def added(parts: list[bytes]) -> bytes:
    """Return the sum of packed counts; a single part is returned as it is."""
    return parts[0] if len(parts) == 1 else sum_counts(parts)


def by_hour(rows: Iterable[tuple[Key, bytes]]) -> dict[Key, bytes]:
    """Return the sums of rows per hour, in order of the keys."""
    parts: dict[Key, list[bytes]] = {}
    for (start, queue, task), counts in rows:
        parts.setdefault((start - start % HOUR, queue, task), []).append(counts)
    return {key: sum_counts(parts[key]) for key in sorted(parts)}


def metric_row(key: Key, span: int, counts: bytes) -> MetricRow:
    """Return a row of an answer; `span` is in minutes."""
    start, queue, task = key
    return MetricRow(start * 60.0, span * 60.0, queue, task, counts)


def position_of(listing: str, cursor: str | None, first: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the position in a cursor; that before the first row without one.

    Args:
        listing: as in `pack_cursor`.
        cursor: of the page before.
        first: the position before the first row, with values of the right types.

    Raises:
        InvalidCursor: it is not a cursor of this listing.
    """
    if cursor is None:
        return first
    position = unpack_cursor(listing, cursor, length=len(first))
    if [type(value) for value in position] != [type(value) for value in first]:
        raise InvalidCursor(
            f"The cursor must come from a `Page` of the same listing, got {cursor!r}. Leave it out to begin "
            f"with the first page."
        )
    return tuple(position)
