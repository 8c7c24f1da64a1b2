"""Schedules: which are due, which a claim hides, and the call in which they fire."""

import logging
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.driverkit.cursors import pack_cursor
from asynctasq.driverkit.metrics import position_of
from asynctasq.driverkit.schedules import by_due_time, check_firings, check_schedules
from asynctasq.driverkit.sql import check_version, name_bytes, name_text
from asynctasq.driverkit.times import micros, seconds
from asynctasq_postgres.enqueueing import Chunk
from asynctasq_postgres.opened import Opened
from asynctasq_postgres.server import Row

VERSION = 4
"""The version of the tables that have a place for these. Older tables hold no schedule, so that none is due."""
_LISTING = "schedules"

log = logging.getLogger("asynctasq.postgres")


def _read(row: Row) -> Schedule:
    """Return the schedule of a row; without a definition if the row is damaged."""
    name, definition, rhythm, next_at, revision, paused, orphaned, declared_by = row[:8]
    seen_at, fired_at, is_whole = row[8:]
    return Schedule(
        id=name_text(name),
        definition=definition if is_whole else b"",
        next_at=seconds(next_at) if is_whole and next_at is not None else None,
        rhythm=name_text(rhythm),
        revision=revision,
        paused=paused,
        orphaned=orphaned,
        declared_by=None if declared_by is None else name_text(declared_by),
        seen_at=seconds(seen_at),
        fired_at=None if fired_at is None else seconds(fired_at),
    )


# Definitions and changes.


async def put_schedules(opened: Opened, schedules: Sequence[Schedule]) -> list[int]:
    """Store schedules; return their revisions."""
    check_schedules(schedules)
    if not schedules:
        return []
    server = opened.server
    place = f"The PostgreSQL at {server.place}"
    check_version(place, opened.version, VERSION, purpose="keep schedules")
    declarers = [each.declared_by for each in schedules]
    revisions: list[int] = await server.value(
        "put_schedules",
        server.settings.namespace,
        [name_bytes(each.id) for each in schedules],
        [each.definition for each in schedules],
        [name_bytes(each.rhythm) for each in schedules],
        [_micros(each.next_at) for each in schedules],
        [None if each is None else name_bytes(each) for each in declarers],
        server.shift,
    )
    return revisions


async def change_schedules(
    opened: Opened, ids: Sequence[str], change: ScheduleChange
) -> list[bool]:
    """Change schedules; return which were changed."""
    if not ids or opened.version < VERSION:
        return [False] * len(ids)
    server = opened.server
    names = list(map(name_bytes, ids))
    changed: list[bool] = await server.value(
        "change_schedules",
        server.settings.namespace,
        names,
        ScheduleChange(change).value,
        server.shift,
    )
    return changed


# Claims and firing.


async def claim_schedules(opened: Opened, *, limit: int, hold: float) -> Claim:
    """Return schedules that are due, and hide them for a while."""
    server = opened.server
    if opened.version < VERSION:
        return Claim([], seconds(await server.value("now", server.shift)), None)
    *rows, (now, next_at, *_) = await server.rows(
        "claim_schedules", server.settings.namespace, limit, micros(hold), server.shift
    )
    found = [_read(row[2:]) for row in rows]
    for each in found:
        if not each.definition:
            log.error("The record of schedule %r is damaged; it is not fired any more", each.id)
    claimed = by_due_time(each for each in found if each.definition)
    return Claim(claimed, seconds(now), None if next_at is None else seconds(next_at))


async def fire(opened: Opened, firings: Sequence[Firing]) -> list[bool]:
    """Fire schedules; return which have fired."""
    check_firings(firings)
    chunk = Chunk([each for firing in firings for each in firing.messages], sends_all=True)
    if not firings or opened.version < VERSION:
        return [False] * len(firings)
    server = opened.server
    space, *of_messages = chunk.parameters(server.settings.namespace, server.shift)
    [(fired, is_asleep)] = await server.rows(
        "fire",
        space,
        [name_bytes(each.id) for each in firings],
        [each.revision for each in firings],
        [micros(each.planned) for each in firings],
        [_micros(each.next_at) for each in firings],
        [len(each.messages) for each in firings],
        *of_messages,
    )
    if is_asleep:
        opened.doorbell.ring(chunk.queues)
    answers: list[bool] = fired
    return answers


# Listings.


async def find_schedules(opened: Opened, ids: Sequence[str]) -> list[Schedule | None]:
    """Return schedules by id."""
    if not ids or opened.version < VERSION:
        return [None] * len(ids)
    server = opened.server
    names = list(map(name_bytes, ids))
    rows = await server.rows("find_schedules", server.settings.namespace, names)
    found = {bytes(row[0]): _read(row) for row in rows}
    return [found.get(name) for name in names]


async def list_schedules(opened: Opened, *, limit: int, cursor: str | None) -> Page[Schedule]:
    """Return a page of schedules by id."""
    [after] = position_of(_LISTING, cursor, (b"",))
    if opened.version < VERSION:
        return Page([])
    server = opened.server
    most = max(limit, 1)
    rows = await server.rows("list_schedules", server.settings.namespace, after, most + 1)
    last = rows[most - 1][0] if len(rows) > most else None
    return Page([_read(row) for row in rows[:most]], last and pack_cursor(_LISTING, [last]))


def _micros(time: float | None) -> int | None:
    return None if time is None else micros(time)
