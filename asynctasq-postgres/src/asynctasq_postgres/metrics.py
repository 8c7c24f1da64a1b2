"""Counts of workers per minute and hour, and their latest outcomes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
from asynctasq.driverkit.sql import check_version
from asynctasq.driverkit.sql.metric_walk import MetricWalk, name_bytes, name_text
from asynctasq.driverkit.times import micros
from asynctasq_postgres.connections import Connection
from asynctasq_postgres.errors import FAILURES
from asynctasq_postgres.opened import Opened
from asynctasq_postgres.queries import metric_queries
from asynctasq_postgres.server import TRIES, Row, Server

VERSION = 3
"""The version of the tables that have a place for these."""
OF_HOURS = 0
"""The source of all hours."""


class _Space:
    """A transaction about the counts of one namespace."""

    def __init__(self, server: Server, connection: Connection) -> None:
        self._sql = metric_queries(server.names)
        self._connection = connection
        self._context = server.context
        self.key = 0
        self.now = 0
        """Microseconds since the Unix epoch."""

    async def begin(self) -> None:
        settings = self._context.settings
        [(self.key, self.now, _)] = await self._fetch(
            "begin", settings.namespace, self._context.shift
        )

    async def rows(self, name: str, *parameters: Any) -> list[Row]:
        return await self._fetch(name, self.key, *parameters)

    async def _fetch(self, name: str, *parameters: Any) -> list[Row]:
        rows: list[Row] = await self._connection.fetch(self._sql[name], *parameters)
        return rows


async def _in_transaction(server: Server, step: Callable[[_Space], Awaitable[None]]) -> None:
    """Run a step in a transaction; again after a deadlock. Raises as `Server.rows` does."""
    for tried in range(1, TRIES + 1):
        try:
            async with server.connections.borrowed() as connection, connection.transaction():
                space = _Space(server, connection)
                await space.begin()
                await step(space)
                return
        except FAILURES as error:
            pause = server.pause_after(error, tried=tried)
        await asyncio.sleep(pause)


async def add_metrics(opened: Opened, flush: MetricFlush) -> None:
    """Add a flush, and do a piece of the upkeep."""
    check_flush(flush)
    _check_version(opened)

    async def add(space: _Space) -> None:
        source = name_bytes(flush.source)
        rows = await space.rows("add_flush", source, flush.number, space.now)
        if rows:
            await _add(space, 1, counted(flush, space.now / 1e6), rows[0][0])
            recent = flush.recent or {}
            if recent:
                queues = [name_bytes(queue) for queue in recent]
                await space.rows("set_recent", source, space.now, queues, list(recent.values()))

    await _in_transaction(opened.server, add)
    await _in_transaction(opened.server, _upkeep)


async def _add(space: _Space, span: int, counts: Mapping[Key, bytes], source: int) -> None:
    """Add counts to those that there are of a source."""
    if not counts:
        return
    columns = (
        [start for start, _, _ in counts],
        [name_bytes(queue) for _, queue, _ in counts],
        [name_bytes(task) for _, _, task in counts],
    )
    known = {
        (start, queue, task): data
        for start, queue, task, data in await space.rows("counts", span, *columns, source)
    }
    sums = [
        added([known[place], more]) if place in known else more
        for place, more in zip(zip(*columns, strict=True), counts.values(), strict=True)
    ]
    await space.rows("set_counts", span, *columns, source, sums)


async def _upkeep(space: _Space) -> None:
    """Add up some old minutes, and delete what is too old. One worker does this at a time."""
    now = space.now / 1e6
    minute, hour = first_minute(now), first_hour(now)
    since = micros(forgotten_since(now))
    [[is_due]] = await space.rows("is_due", minute, hour, since)
    if not is_due:
        return
    [[is_alone]] = await space.rows("lock")
    if not is_alone:
        return
    rows = await space.rows("old_minutes", minute, ADDED_UP_AT_ONCE)
    if rows:
        hours = by_hour(
            ((start, name_text(queue), name_text(task)), counts)
            for start, queue, task, _, counts in rows
        )
        await _add(space, HOUR, hours, OF_HOURS)
        await space.rows("delete_minutes", *rows[-1][:4])
    await space.rows("forget_hours", hour, ADDED_UP_AT_ONCE)
    await space.rows("forget_sources", since, ADDED_UP_AT_ONCE)
    await space.rows("forget_recent", since, ADDED_UP_AT_ONCE)


async def metrics(opened: Opened, walk: MetricWalk) -> Page[MetricRow]:
    """Return a page of counts."""
    _check_version(opened)
    first = await _read(opened, "first_row", *_place(walk))
    if not first:
        return walk.page([])
    walk.begin_at(first[0][0])
    given = walk.parameters
    filters = (given["of_queue"], given["of_task"], given["of_prefix"], given["limit"])
    return walk.page(await _read(opened, "rows", *_place(walk), *filters))


def _place(walk: MetricWalk) -> tuple[Any, ...]:
    given = walk.parameters
    names = ("span", "start", "behind_queue", "behind_task", "behind_source", "end")
    return tuple(given[name] for name in names)


async def recent_outcomes(
    opened: Opened, *, queue: str | None, limit: int, cursor: str | None
) -> Page[RecentRow]:
    """Return a page of the latest outcomes."""
    _check_version(opened)
    most = max(limit, 1)
    position = position_of("recent", cursor, (b"", b""))
    of_queue = None if queue is None else name_bytes(queue)
    rows = await _read(opened, "recent", of_queue, *position, most)
    items = [RecentRow(name_text(row[0]), name_text(row[1]), row[2]) for row in rows]
    return Page(items, pack_cursor("recent", rows[-1][:2]) if len(rows) == most else None)


async def _read(opened: Opened, name: str, *parameters: Any) -> list[Row]:
    server = opened.server
    return await server.execute(
        metric_queries(server.names)[name], server.settings.namespace, *parameters
    )


def _check_version(opened: Opened) -> None:
    place = f"The PostgreSQL at {opened.server.place}"
    check_version(place, opened.version, VERSION, purpose="keep counts")
