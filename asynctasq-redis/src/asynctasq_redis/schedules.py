"""Schedules as the scripts take and return them."""

import logging
from collections.abc import Sequence
from math import isfinite
from struct import Struct, error
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import Page
from asynctasq.contracts.capabilities.schedules import (
    ORPHANED_AFTER,
    SCHEDULES_AT_ONCE,
    Claim,
    Firing,
    Schedule,
    ScheduleChange,
)
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.schedules import check_firings, check_schedules
from asynctasq.driverkit.times import micros, seconds
from asynctasq.errors import DriverError
from asynctasq_redis.codec import MOST_32, queue_name, text_bytes, whole_micros
from asynctasq_redis.enqueueing import AT_ONCE, enqueue_arguments
from asynctasq_redis.settling import BYTES_SENT_AT_ONCE

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

log = logging.getLogger("asynctasq.redis")

CLAIMED_AT_ONCE = 1000
"""Schedules that one claim or one page contains, at most."""
_BESIDE_A_BODY = 1200
"""Bytes that a message counts beside its body, so that one step stores at most `AT_ONCE` messages."""
_LISTING = "schedules"
_TIME = Struct(">d")
_STATE = Struct(">IBdddd")
_FIRING = Struct(">IdBdI")
_PAUSED, _ORPHANED, _HAS_NEXT, _HAS_FIRED = 1, 2, 4, 8
_DAMAGED = 0, 0, 0.0, 0.0, 0.0, 0.0
_ONE = ord("1")


async def put_schedules(server: "Server", offset: int, schedules: Sequence[Schedule]) -> list[int]:
    """Store schedules; return their revisions."""
    check_schedules(schedules)
    packed = [_pack(schedule) for schedule in schedules]
    revisions: list[int] = []
    for some in batches(packed, SCHEDULES_AT_ONCE):
        parts = [part for each in some for part in each]
        revisions += await server.run("put_schedules", offset, *parts)
    return revisions


def _pack(schedule: Schedule) -> tuple[bytes, ...]:
    by = schedule.declared_by
    return (
        text_bytes(schedule.id),
        schedule.definition,
        text_bytes(schedule.rhythm),
        b"" if schedule.next_at is None else _TIME.pack(schedule.next_at),
        b"" if by is None else b"\x01" + text_bytes(by),
    )


async def claim_schedules(server: "Server", offset: int, *, limit: int, hold: float) -> Claim:
    """Return schedules that are due, and hide them."""
    most = min(max(limit, 0), CLAIMED_AT_ONCE)
    answer = await server.run("claim_schedules", offset, most, whole_micros(hold))
    now, next_at, damaged, rows = answer
    for name in damaged:
        log.error(
            "The record of schedule %r is damaged; it is not fired any more", queue_name(name)
        )
    moment = float(next_at) if next_at else None
    if moment is not None and not isfinite(moment):  # a damaged entry
        moment = float(now)
    return Claim(
        [_read(row) for row in rows],
        seconds(int(now)),
        None if moment is None else seconds(moment),
    )


def _unpack_state(state: bytes) -> tuple[int, int, float, float, float, float]:
    """Return revision, flags and times; all are 0 if the state is damaged."""
    try:
        found = _STATE.unpack(state)
    except error:
        return _DAMAGED
    return found if all(map(isfinite, found)) and found[0] > 0 else _DAMAGED


def _read(row: Sequence[bytes]) -> Schedule:
    """Return the schedule of a row; without a definition if the row is damaged."""
    definition, rhythm, state, declared_by, name = row
    revision, flags, next_at, _, seen, fired = _unpack_state(state)
    return Schedule(
        id=queue_name(name),
        definition=definition if revision else b"",
        next_at=next_at if flags & _HAS_NEXT else None,
        rhythm=queue_name(rhythm),
        revision=revision,
        paused=flags & _PAUSED != 0,
        orphaned=flags & _ORPHANED != 0,
        declared_by=queue_name(declared_by[1:]) if declared_by else None,
        seen_at=seconds(seen),
        fired_at=seconds(fired) if flags & _HAS_FIRED else None,
    )


async def fire(server: "Server", offset: int, firings: Sequence[Firing]) -> list[bool]:
    """Fire schedules. Each firing is one step, with others of the call."""
    check_firings(firings)
    steps = batches(firings, CLAIMED_AT_ONCE, size=_bytes_of, most_bytes=BYTES_SENT_AT_ONCE)
    arguments = [_fire_arguments(some) for some in steps]  # all, before the first one fires
    answers: list[bool] = []
    for each in arguments:
        answer = await server.run("fire", offset, *each)
        answers += [code == _ONE for code in answer]
    return answers


def _bytes_of(firing: Firing) -> int:
    return sum(len(message.body) + _BESIDE_A_BODY for message in firing.messages)


def _fire_arguments(firings: Sequence[Firing]) -> list[bytes | int]:
    parts: list[bytes | int] = [len(firings)]
    for firing in firings:
        if len(firing.messages) > AT_ONCE:
            raise DriverError(
                f"A firing of schedule {firing.id!r} must have at most {AT_ONCE} messages on Redis, got "
                f"{len(firing.messages)}. Fire the schedule several times."
            )
        numbers = _FIRING.pack(
            firing.revision if 0 < firing.revision <= MOST_32 else 0,  # no schedule has 0
            firing.planned,
            firing.next_at is not None,
            0.0 if firing.next_at is None else firing.next_at,
            len(firing.messages),
        )
        parts += (text_bytes(firing.id), numbers)
    messages = [message for firing in firings for message in firing.messages]
    return [*parts, *enqueue_arguments(messages)] if messages else parts


async def find_schedules(server: "Server", ids: Sequence[str]) -> list[Schedule | None]:
    """Return schedules by id."""
    found: list[Schedule | None] = []
    for some in batches(ids, SCHEDULES_AT_ONCE):
        rows = await server.run("find_schedules", *map(text_bytes, some))
        found += [_read(row) if row else None for row in rows]
    return found


async def list_schedules(server: "Server", *, limit: int, cursor: str | None) -> Page[Schedule]:
    """Return a page of schedules, ordered by the bytes of their ids."""
    after = b""
    if cursor is not None:
        [place] = unpack_cursor(_LISTING, cursor, length=1)
        after = place if isinstance(place, bytes) else str(place).encode()
    most = min(max(limit, 1), CLAIMED_AT_ONCE)
    following, rows = await server.run("list_schedules", after, most)
    return Page(
        [_read(row) for row in rows],
        pack_cursor(_LISTING, (following,)) if following else None,
    )


async def change_schedules(
    server: "Server", offset: int, ids: Sequence[str], change: ScheduleChange
) -> list[bool]:
    """Change schedules; return whether each has changed."""
    answers: list[bool] = []
    for some in batches(ids, SCHEDULES_AT_ONCE):
        names = map(text_bytes, some)
        answer = await server.run(
            "change_schedules", offset, change.value.encode(), micros(ORPHANED_AFTER), *names
        )
        answers += [code == _ONE for code in answer]
    return answers
