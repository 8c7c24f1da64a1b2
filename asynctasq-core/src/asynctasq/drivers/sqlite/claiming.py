"""Claiming the next messages of a queue. Readable ones are about to be leased; damaged ones become dead letters."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.packing import (
    ID_BYTES,
    Profile,
    decode_message,
    message_of,
    unpack_profile,
)
from asynctasq.drivers.sqlite.codec import UNREACHABLE, json_list
from asynctasq.drivers.sqlite.damage import (
    NUMBER_LIMIT,
    find_damage,
    make_dead_letter,
    next_rows,
    read_row,
)
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import BodyCorrupt
from asynctasq.message import NO_RESULTS, Delivery, Lease
from asynctasq.records import record

LARGE = 128 << 10
"""Bytes; larger payloads are not read together with others."""
MOST_AT_ONCE = 1_000
"""Messages that one statement claims, so that its row stays well below SQLite's limit."""
_SQL = queries("lease")


class Room:
    """The bytes of payloads for which one call still has room."""

    __slots__ = ("is_empty", "left")

    def __init__(self) -> None:
        self.left = BYTES_AT_ONCE
        self.is_empty = True

    def takes(self, size: int, *, is_first: bool) -> bool:
        """Return whether there is room for a payload; a single one may be larger."""
        return size <= self.left or (self.is_empty and is_first)

    def fill(self, size: int) -> None:
        """Record that messages of this size were claimed."""
        self.left -= size
        self.is_empty = False


@record
class Claimed:
    """Messages claimed from a queue."""

    numbers: list[int]
    """Numbers of the rows to lease."""
    deliveries: list[Delivery]
    size: int
    """Bytes of the payloads."""
    is_full: bool = False
    """True if the bound in bytes was reached before the next message."""
    damaged: int = 0
    """Number of messages that became dead letters instead."""


def claim(session: Session, key: int, name: str, limit: int, room: Room) -> Claimed:
    """Read the next messages of a queue, about to be leased.

    Args:
        key: of the queue.
        limit: the most messages.
        room: for their payloads.
    """
    try:
        return _claim_together(session, key, name, limit, room)
    except (BodyCorrupt, ValueError, TypeError):
        return _claim_each(session, key, name, limit, room)
    except sqlite3.OperationalError as error:
        if "JSON" not in str(error):
            raise
        return _claim_each(session, key, name, limit, room)


def _claim_together(session: Session, key: int, name: str, limit: int, room: Room) -> Claimed:
    """Read all in one statement, or two if some are large.

    Raises:
        BodyCorrupt, ValueError, TypeError: a row is damaged.
    """
    large = min(LARGE, BYTES_AT_ONCE // max(limit, 1))
    sound, facts, blob = session.rows(
        _SQL["claim"], {"queue": key, "limit": limit, "large": large, "never": UNREACHABLE}
    )[0]
    found: list[Any] = orjson.loads(facts)
    if not found:
        return Claimed([], [], 0)
    if sound != len(found):
        raise BodyCorrupt("A row is damaged, or the clock was set back.")  # a look at each tells
    kept, size = _within(found, room)
    larger = [fact for fact in kept if fact[8] > large]
    others = _large_payloads(session, larger) if larger else {}
    now = session.now
    deliveries: list[Delivery] = []
    place = bits = 0
    last_profile = b""
    unpacked: Profile | None = None
    for n, leases, attempt, lost, enqueued_at, wait, mismatched_at, head, size_of_it in kept:
        bits |= leases | attempt | lost
        if type(enqueued_at) is not int:
            raise BodyCorrupt("A time is damaged.")
        end_of_id = place + ID_BYTES
        message_id = blob[place:end_of_id]
        place = end_of_id + head
        profile = blob[end_of_id:place]
        if unpacked is None or profile != last_profile:
            last_profile, unpacked = profile, unpack_profile(profile)
        if size_of_it <= large:
            payload = blob[place : place + size_of_it]
            place += size_of_it
        else:
            payload = others[n]
        enqueued = enqueued_at / 1e6
        deliveries.append(
            Delivery(
                message_of(message_id, name, unpacked, payload),
                Lease(message_id, now),
                attempt,
                lost,
                enqueued,
                0.0 if mismatched_at is None else max(now - mismatched_at, 0) / 1e6,
                NO_RESULTS,
                (enqueued_at + wait) / 1e6 if wait else enqueued,
                leases > 0,
            )
        )
    if not 0 <= bits < NUMBER_LIMIT:  # a power of two, so that this is true of each number
        raise BodyCorrupt("A number is damaged.")
    if len(kept) == len(found) and place != len(blob):
        raise BodyCorrupt("A value has another type.")
    return Claimed([fact[0] for fact in kept], deliveries, size, len(kept) < len(found))


def _within(found: list[Any], room: Room) -> tuple[list[Any], int]:
    """Return the first of the rows, as many as there is room for, and the bytes of their payloads."""
    size = sum([fact[8] for fact in found])
    if size <= room.left:
        return found, size
    size = 0
    for count, fact in enumerate(found):
        if not room.takes(size + fact[8], is_first=count == 0):
            return found[:count], size
        size += fact[8]
    return found, size


def _large_payloads(session: Session, facts: Sequence[Any]) -> dict[int, bytes]:
    """Return the payloads that are too large for the first statement, by row."""
    together = [(fact[0], fact[8]) for fact in facts if fact[8] <= LARGE]
    alone = [fact[0] for fact in facts if fact[8] > LARGE]
    payloads = {n: session.rows(_SQL["payload"], {"n": n})[0][0] for n in alone}
    if together:
        taken = json_list(n for n, _ in together)
        blob = session.rows(_SQL["payloads"], {"taken": taken})[0][0]
        place = 0
        for n, size in together:
            payloads[n] = blob[place : place + size]
            place += size
    return payloads


def _claim_each(session: Session, key: int, name: str, limit: int, room: Room) -> Claimed:
    """Read the rows one by one, and make a dead letter of each that is damaged."""
    taken = Claimed([], [], 0)
    size = damaged = 0
    is_full = False
    for n in next_rows(session, key, limit):
        row = read_row(session, n)
        wrong = find_damage(session, name, row)
        if wrong is not None:
            make_dead_letter(session, n, name, row, wrong)
            damaged += 1
            continue
        payload = row[10]
        if not room.takes(size + len(payload), is_first=not taken.numbers):
            is_full = True
            break
        size += len(payload)
        taken.numbers.append(n)
        taken.deliveries.append(_delivery(session, name, row))
    return Claimed(taken.numbers, taken.deliveries, size, is_full, damaged)


def _delivery(session: Session, name: str, row: Row) -> Delivery:
    message_id, _, leases, attempt, lost, enqueued_at, mismatched_at, _, due_at = row[:9]
    profile, payload, leased_at = row[9:]
    return Delivery(
        decode_message(message_id, name, profile, payload),
        Lease(message_id, max(leased_at + 1, session.now)),
        attempt,
        lost,
        enqueued_at / 1e6,
        0.0 if mismatched_at is None else max(session.now - mismatched_at, 0) / 1e6,
        due_at=due_at / 1e6,
        resumed=leases > 0,
    )
