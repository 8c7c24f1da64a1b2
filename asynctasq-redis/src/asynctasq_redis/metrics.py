"""Counts of workers per minute and hour, and their latest outcomes."""

from collections.abc import Iterator
from math import ceil
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.metrics import (
    METRIC_ROWS_AT_ONCE,
    MetricFlush,
    MetricRow,
    RecentRow,
)
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import HOUR, check_flush, metric_row, position_of
from asynctasq.driverkit.selection import matches_task
from asynctasq_redis.codec import text_bytes

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

OURS = b"\xff\xff"
"""Begin of the fields that the scripts keep beside the counts."""
_LENGTH = Struct(">H")
_LATEST = 1 << 50
"""A start in minutes that no clock reaches."""


async def add_metrics(server: "Server", offset: int, flush: MetricFlush) -> None:
    """Add a flush, and do a piece of the upkeep."""
    check_flush(flush)
    parts: list[bytes | int] = [text_bytes(flush.source), flush.number, len(flush.rows)]
    for row in sorted(flush.rows, key=lambda row: row.minute):
        parts += (row.minute, _field(row.queue, row.task), row.counts)
    for queue, data in (flush.recent or {}).items():
        parts += (_field(queue, flush.source), data)
    await server.run("add_metrics", offset, *parts)
    await server.run("add_up", offset)


def _field(queue: str, name: str) -> bytes:
    first = text_bytes(queue)
    return _LENGTH.pack(len(first)) + first + text_bytes(name)


def _names(field: bytes) -> tuple[str, str] | None:
    """Return the queue, and the task or source, of a field; None if it is not one of those."""
    try:
        [length] = _LENGTH.unpack_from(field)
        if field.startswith(OURS) or len(field) < length + 2:
            return None
        queue, name = field[2 : length + 2], field[length + 2 :]
        return queue.decode("utf-8", "surrogatepass"), name.decode("utf-8", "surrogatepass")
    except (error, UnicodeDecodeError):
        return None


async def metrics(
    server: "Server",
    *,
    since: float,
    until: float,
    queue: str | None,
    task: str | None,
    limit: int,
    cursor: str | None,
) -> Page[MetricRow]:
    """Return a page of counts, hours first."""
    first, last = _minute(since), _minute(until) - 1
    span, start, behind = position_of("metrics", cursor, (HOUR, first, b""))
    kind = b"th" if span == HOUR else b"tm"
    more, *found = await server.run("metrics", kind, start, last, METRIC_ROWS_AT_ONCE)
    items: list[MetricRow] = []
    most = max(min(limit, METRIC_ROWS_AT_ONCE), 1)
    place = start, b""
    for at, field, counts in _sorted(found):
        if at == start and field <= behind:
            continue
        if len(items) == most:
            return Page(items, pack_cursor("metrics", (span, *place)))
        place = at, field
        names = _names(field)
        if (
            names is not None
            and queue in (None, names[0])
            and (task is None or matches_task(names[1], task))
        ):
            items.append(metric_row((at, *names), span, counts))
    if more:
        return Page(items, pack_cursor("metrics", (span, int(found[-2]) + 1, b"")))
    if span == HOUR:
        return Page(items, pack_cursor("metrics", (1, first, b"")))
    return Page(items)


def _sorted(found: list[Any]) -> Iterator[tuple[int, bytes, bytes]]:
    """Iterate over start, field and counts in order."""
    for start, rows in zip(found[::2], found[1::2], strict=True):
        for field, counts in sorted(zip(rows[::2], rows[1::2], strict=True)):
            yield int(start), field, counts


def _minute(moment: float) -> int:
    return ceil(min(max(moment / 60, 0.0), _LATEST))


async def recent_outcomes(
    server: "Server", *, queue: str | None, limit: int, cursor: str | None
) -> Page[RecentRow]:
    """Return a page of the latest outcomes."""
    [behind] = position_of("recent", cursor, (b"",))
    prefix = b"" if queue is None else _field(queue, "")
    most = max(limit, 1)
    rows = await server.run("recent", behind, prefix, most)
    items: list[RecentRow] = []
    for field, data in zip(rows[::2], rows[1::2], strict=True):
        names = _names(field)
        if names is not None and data is not None:
            items.append(RecentRow(*names, data))
    is_full = len(rows) == 2 * most
    return Page(items, pack_cursor("recent", (rows[-2],)) if is_full else None)
