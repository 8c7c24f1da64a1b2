"""Columns of rows as values of the contract. Damaged ones are shown as such, and cost no other row."""

from collections.abc import Callable, Sequence
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter, Outcome, Snapshot
from asynctasq.driverkit.packing import damage_info, decode_message, salvage, unpack_error
from asynctasq.driverkit.sql import STATES
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, State
from asynctasq.settlement import ErrorInfo, Reason
from asynctasq_mysql.clients import Row
from asynctasq_mysql.store import name_text


def as_bytes(value: Any) -> bytes:
    """Return the bytes of a column; empty for NULL."""
    return b"" if value is None else bytes(value)


def as_state(value: int, due_at: int, now: int) -> State:
    """Return the state that a row shows; READY if it is damaged."""
    state = STATES.get(value, State.READY)
    return State.READY if state is State.SCHEDULED and due_at <= now else state


def as_reason(value: Any) -> Reason:
    """Return the reason of a dead message; UNDECODABLE if it is damaged."""
    try:
        return Reason(as_bytes(value).decode("ascii", "replace"))
    except ValueError:
        return Reason.UNDECODABLE


def read_message(
    message_id: bytes, queue: str, profile: Any, payload: Any
) -> tuple[Message, ErrorInfo | None]:
    """Return the message of a row, and its damage, if any."""
    try:
        return decode_message(message_id, queue, as_bytes(profile), as_bytes(payload)), None
    except BodyCorrupt as error:
        left = salvage(message_id, queue, as_bytes(profile), as_bytes(payload))
        return left, damage_info(error)


def task_of(profile: Any) -> str:
    """Return the name of the task; empty if it is damaged."""
    return salvage(b"", "", as_bytes(profile), b"").task


def read_error(data: Any) -> ErrorInfo | None:
    """Return a stored error; one that names the damage if it cannot be read."""
    return None if data is None else unpack_error(as_bytes(data))


Names = Callable[[int], str]
"""Returns the name of a queue; empty if its number is damaged."""


def snapshot(row: Sequence[Any], name: Names, now: int) -> Snapshot:
    """Return a row of `inspect.find` as a snapshot."""
    message_id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at = row[:9]
    owner, leased_at, cancelling, error = row[9:13]
    message, damage = read_message(bytes(message_id), name(queue), profile, payload)
    return Snapshot(
        message=message,
        state=as_state(state, due_at, now),
        attempt=attempt,
        lost=lost,
        enqueued_at=enqueued_at / 1e6,
        due_at=due_at / 1e6,
        owner=None if owner is None else name_text(bytes(owner)),
        cancelling=bool(cancelling),
        error=damage or read_error(error),
        leased_at=leased_at / 1e6 if state == 5 else None,
    )


def dead_letter(row: Sequence[Any], name: Names) -> DeadLetter:
    """Return a row of `inspect.find` as a dead letter."""
    message_id, queue, profile, payload, _, attempt, lost, enqueued_at = row[:8]
    error, reason, finished_at = row[12:15]
    message, damage = read_message(bytes(message_id), name(queue), profile, payload)
    return DeadLetter(
        message=message,
        reason=as_reason(reason),
        error=damage or read_error(error),
        attempts=attempt,
        lost=lost,
        enqueued_at=enqueued_at / 1e6,
        died_at=(finished_at or 0) / 1e6,
    )


def outcome(message_id: bytes, row: Row) -> Outcome:
    """Return a row of `inspect.outcomes` as an outcome."""
    stored, finished_at, payload, reason, error, about = row
    state = STATES.get(stored)
    ended_at, known = (finished_at or 0) / 1e6, as_bytes(about)
    if state is State.COMPLETED or state is State.CANCELLED:
        result = None if payload is None else bytes(payload)
        return Outcome(message_id, state, ended_at, result, about=known)
    return Outcome(
        message_id, State.DEAD, ended_at, None, as_reason(reason), read_error(error), known
    )
