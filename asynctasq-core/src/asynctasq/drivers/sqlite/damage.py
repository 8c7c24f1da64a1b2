"""Damaged rows become dead letters, with numbers that can be read from then on."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import News
from asynctasq.driverkit.packing import damage_info, pack_error, salvage
from asynctasq.drivers.sqlite.codec import UNREACHABLE, log
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes, as_count, as_id, as_micros, read_message
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import BodyCorrupt
from asynctasq.message import State, new_id
from asynctasq.settlement import ErrorInfo, Reason

NUMBER_LIMIT = 1 << 60
"""All numbers of an undamaged row are smaller."""

_SQL = queries("damage")


def next_rows(session: Session, queue: int, limit: int) -> list[int]:
    """Return the numbers of the next rows of a queue, in order, damaged or not."""
    return [n for (n,) in session.rows(_SQL["next"], {"queue": queue, "limit": limit})]


def read_row(session: Session, n: int) -> Row:
    """Return the columns of a row that `find_damage` and `make_dead_letter` use."""
    return session.rows(_SQL["row"], {"n": n})[0]


def find_damage(session: Session, name: str, row: Row) -> ErrorInfo | None:
    """Return the damage of a row; None if it is intact."""
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


def reject_without_queue(session: Session, limit: int) -> None:
    """Make dead letters of messages that no worker can reserve, because their queue is damaged."""
    error = damage_info(BodyCorrupt("The queue of a message in the store is damaged."))
    for (n,) in session.rows(_SQL["in_no_queue"], {"limit": limit}):
        make_dead_letter(session, n, "", read_row(session, n), error)


def reject_without_state(session: Session, numbers: Sequence[int]) -> None:
    """Make dead letters of messages that no call finds, because their state is damaged."""
    error = damage_info(
        BodyCorrupt("The state or the namespace of a message in the store is damaged.")
    )
    for n in numbers:
        make_dead_letter(session, n, "", read_row(session, n), error)


def make_dead_letter(session: Session, n: int, name: str, row: Row, error: ErrorInfo) -> None:
    """Make a dead letter of a damaged message.

    It keeps its ID if that has the right length and no other message of the namespace can have it. Otherwise it
    gets a new ID, by which it can be deleted.
    """
    message_id, namespace, token, attempt, lost, enqueued_at, _, max_lost, due_at = row[:9]
    profile, payload, leased_at = row[9:]
    keeps_id = as_id(message_id) is message_id and namespace == session.namespace
    kept_id = message_id if keeps_id else new_id()
    log.warning("A damaged message %s became a dead letter: %s", kept_id.hex(), error.message)
    session.run(
        _SQL["make_dead_letter"],
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
