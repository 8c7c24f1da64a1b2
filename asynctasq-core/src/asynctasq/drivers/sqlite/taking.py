"""Taking the next messages of a queue: those that are readable are leased, the others are dead letters."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.packing import (
    ID_BYTES,
    damage_info,
    decode_message,
    pack_error,
    salvage,
)
from asynctasq.drivers.sqlite.codec import UNREACHABLE, json_list, log
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes, as_count, as_id, as_micros, read_message
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import BodyCorrupt
from asynctasq.message import NO_RESULTS, Delivery, Lease, State, new_id
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason

LARGE = 128 << 10
"""Bytes; larger payloads are not read together with others."""
MOST_AT_ONCE = 1_000
"""Messages that one statement takes, so that its row stays well below SQLite's limit."""
NUMBER_LIMIT = 1 << 60
"""Every number of a row that is not damaged is smaller."""

_SQL = queries("lease")
_ROW = queries("damage")


class Room:
    """The bytes that the payloads of one call may still have."""

    __slots__ = ("is_empty", "left")

    def __init__(self) -> None:
        self.left = BYTES_AT_ONCE
        self.is_empty = True

    def takes(self, size: int, *, is_first: bool) -> bool:
        """Return whether there is room; a single message may be larger."""
        return size <= self.left or (self.is_empty and is_first)

    def fill(self, size: int) -> None:
        """Note that messages of this size were taken."""
        self.left -= size
        self.is_empty = False


@record
class Taken:
    """Messages taken from a queue."""

    numbers: list[int]
    """Numbers of the rows to lease."""
    deliveries: list[Delivery]
    size: int
    """Bytes of the payloads."""
    is_full: bool = False
    """The next message would have been one too many for the bound in bytes."""
    damaged: int = 0
    """Messages that were moved to the dead letters instead."""


def take(session: Session, key: int, name: str, limit: int, room: Room) -> Taken:
    """Read the next messages of a queue, about to be leased.

    Args:
        key: of the queue.
        limit: the most messages.
        room: for their payloads.
    """
    try:
        return _take_together(session, key, name, limit, room)
    except (BodyCorrupt, ValueError, TypeError):
        return _take_each(session, key, name, limit, room)
    except sqlite3.OperationalError as error:
        if "JSON" not in str(error):
            raise
        return _take_each(session, key, name, limit, room)


def _take_together(session: Session, key: int, name: str, limit: int, room: Room) -> Taken:
    """Read all in one statement, or two if some are large.

    Raises:
        BodyCorrupt, ValueError, TypeError: a row is damaged.
    """
    large = min(LARGE, BYTES_AT_ONCE // max(limit, 1))
    sound, facts, blob = session.rows(
        _SQL["take"], {"queue": key, "limit": limit, "large": large, "never": UNREACHABLE}
    )[0]
    found: list[Any] = orjson.loads(facts)
    if not found:
        return Taken([], [], 0)
    if sound != len(found):
        raise BodyCorrupt("A row is damaged.")
    kept, size = _within(found, room)
    others = _large_payloads(session, [fact for fact in kept if fact[9] > large])
    now = session.now
    numbers: list[int] = []
    deliveries: list[Delivery] = []
    place = 0
    for n, later, leases, attempt, lost, enqueued_at, wait, mismatched_at, head, size_of_it in kept:
        if not 0 <= (later | leases | attempt | lost | enqueued_at) < NUMBER_LIMIT:
            raise BodyCorrupt("A number is damaged.")
        numbers.append(n)
        message_id = blob[place : place + ID_BYTES]
        place += ID_BYTES
        profile = blob[place : place + head]
        place += head
        if size_of_it <= large:
            payload = blob[place : place + size_of_it]
            place += size_of_it
        else:
            payload = others[n]
        deliveries.append(
            Delivery(
                decode_message(message_id, name, profile, payload),
                Lease(message_id, now + later),
                attempt,
                lost,
                enqueued_at / 1e6,
                0.0 if mismatched_at is None else max(now - mismatched_at, 0) / 1e6,
                NO_RESULTS,
                (enqueued_at + wait) / 1e6,
                leases > 0,
            )
        )
    if len(kept) == len(found) and place != len(blob):
        raise BodyCorrupt("A value has another type.")
    return Taken(numbers, deliveries, size, len(kept) < len(found))


def _within(found: list[Any], room: Room) -> tuple[list[Any], int]:
    """Return the first of the rows, as many as there is room for, and the bytes of their payloads."""
    size = sum([fact[9] for fact in found])
    if size <= room.left:
        return found, size
    size = 0
    for count, fact in enumerate(found):
        if not room.takes(size + fact[9], is_first=count == 0):
            return found[:count], size
        size += fact[9]
    return found, size


def _large_payloads(session: Session, facts: Sequence[Any]) -> dict[int, bytes]:
    """Return the payloads that are too large for the first statement, by row."""
    together = [(fact[0], fact[9]) for fact in facts if fact[9] <= LARGE]
    alone = [fact[0] for fact in facts if fact[9] > LARGE]
    payloads = {n: session.rows(_SQL["payload"], {"n": n})[0][0] for n in alone}
    if together:
        taken = json_list(n for n, _ in together)
        blob = session.rows(_SQL["payloads"], {"taken": taken})[0][0]
        place = 0
        for n, size in together:
            payloads[n] = blob[place : place + size]
            place += size
    return payloads


def _take_each(session: Session, key: int, name: str, limit: int, room: Room) -> Taken:
    """Read the rows one by one, because one is damaged, and bury each that is."""
    taken = Taken([], [], 0)
    size = damaged = 0
    is_full = False
    for (n,) in session.rows(_ROW["next"], {"queue": key, "limit": limit}):
        row = session.rows(_ROW["row"], {"n": n})[0]
        wrong = _damage(session, name, row)
        if wrong is not None:
            bury_damaged(session, n, name, row, wrong)
            damaged += 1
            continue
        payload = row[10]
        if not room.takes(size + len(payload), is_first=not taken.numbers):
            is_full = True
            break
        size += len(payload)
        taken.numbers.append(n)
        taken.deliveries.append(_delivery(session, name, row))
    return Taken(taken.numbers, taken.deliveries, size, is_full, damaged)


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


def _damage(session: Session, name: str, row: Row) -> ErrorInfo | None:
    """Return what is wrong with a row; None if nothing is."""
    message_id, namespace, token, attempt, lost, enqueued_at, mismatched_at, max_lost, due_at = row[
        :9
    ]
    numbers = [namespace, token, attempt, lost, enqueued_at, max_lost, row[11]]
    if mismatched_at is not None:
        numbers.append(mismatched_at)
    if not all(type(each) is int and 0 <= each < NUMBER_LIMIT for each in numbers):
        return damage_info(BodyCorrupt(f"A number in the stored record is damaged: {numbers}."))
    if type(due_at) is not int or due_at >= UNREACHABLE:
        return damage_info(BodyCorrupt(f"The stored time of a message is damaged: {due_at!r}."))
    if namespace != session.namespace:
        return damage_info(BodyCorrupt("The stored record is in a queue of another namespace."))
    return read_message(message_id, name, row[9], row[10])[1]


def bury_those_in_no_queue(session: Session, limit: int) -> None:
    """Move messages to the dead letters that no worker asks for, because their queue is damaged."""
    error = damage_info(BodyCorrupt("The queue of a message in the store is damaged."))
    for (n,) in session.rows(_ROW["in_no_queue"], {"limit": limit}):
        bury_damaged(session, n, "", session.rows(_ROW["row"], {"n": n})[0], error)


def bury_those_in_no_state(session: Session, numbers: Sequence[int]) -> None:
    """Move messages to the dead letters that no call can find, because their state is damaged."""
    error = damage_info(
        BodyCorrupt("The state or the namespace of a message in the store is damaged.")
    )
    for n in numbers:
        bury_damaged(session, n, "", session.rows(_ROW["row"], {"n": n})[0], error)


def bury_damaged(session: Session, n: int, name: str, row: Row, error: ErrorInfo) -> None:
    """Move a damaged message to the dead letters, with numbers that can be read from now on.

    Its id is kept if it has the right length, and no other message of the namespace can have it. Otherwise it
    gets another one, by which it can be deleted.
    """
    message_id, namespace, token, attempt, lost, enqueued_at, _, max_lost, due_at = row[:9]
    profile, payload, leased_at = row[9:]
    keeps_id = as_id(message_id) is message_id and namespace == session.namespace
    kept_id = message_id if keeps_id else new_id()
    log.warning("A damaged message %s became a dead letter: %s", kept_id.hex(), error.message)
    session.run(
        _ROW["bury"],
        {
            "n": n,
            "id": kept_id,
            "token": as_count(token),
            "leased_at": as_micros(leased_at) or session.now,
            "attempt": as_count(attempt),
            "lost": as_count(lost),
            "max_lost": as_count(max_lost),
            "enqueued_at": as_micros(enqueued_at) or session.now,
            "error": pack_error(error),
            "due_at": min(as_micros(due_at) or session.now, session.now),
            "payload": as_bytes(payload),
        },
    )
    session.dead_since_prune += 1
    session.report(
        News(
            kept_id,
            name,
            salvage(kept_id, name, as_bytes(profile), b"").task,
            State.DEAD,
            Reason.UNDECODABLE,
            as_count(attempt),
            as_count(lost),
        )
    )
