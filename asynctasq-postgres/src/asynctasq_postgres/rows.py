"""Rows as messages. Profiles, payloads and errors may be damaged: reading a row never fails."""

from collections.abc import Sequence
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter, Snapshot
from asynctasq.driverkit.packing import damage_info, decode_message, salvage, unpack_error
from asynctasq.driverkit.sql import STATES
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, State
from asynctasq.settlement import ErrorInfo, Reason

Row = Sequence[Any]


def read_message(
    message_id: bytes, queue: str | None, profile: bytes, payload: bytes
) -> tuple[Message, ErrorInfo | None]:
    """Return the message of a row, and its damage, if any."""
    if queue is None:
        error = BodyCorrupt("The queue of a message in the store is damaged.")
        return salvage(message_id, "", profile, payload), damage_info(error)
    try:
        return decode_message(message_id, queue, profile, payload), None
    except BodyCorrupt as error:
        return salvage(message_id, queue, profile, payload), damage_info(error)


def snapshot(row: Row) -> Snapshot:
    """Return the message of a row of the type `snapshot_1`."""
    message_id, queue, profile, payload, state, attempt, lost, enqueued_at, due_at = row[3:12]
    owner, leased_at, cancelling, error = row[12:16]
    message, damage = read_message(message_id, queue, profile, payload)
    shown = STATES.get(state, State.READY)
    is_leased = shown is State.LEASED
    return Snapshot(
        message=message,
        state=shown,
        attempt=attempt,
        lost=lost,
        enqueued_at=enqueued_at / 1e6,
        due_at=due_at / 1e6,
        owner=owner if is_leased else None,
        cancelling=cancelling and is_leased,
        error=damage or unpack_error(error),
        leased_at=leased_at / 1e6 if is_leased else None,
    )


def dead_letter(row: Row) -> DeadLetter:
    """Return the dead letter of a row of the type `snapshot_1`."""
    message_id, queue, profile, payload, _, attempt, lost, enqueued_at = row[3:11]
    error, reason, died_at = row[15:18]
    message, damage = read_message(message_id, queue, profile, payload)
    return DeadLetter(
        message=message,
        reason=as_reason(reason),
        error=damage or unpack_error(error),
        attempts=attempt,
        lost=lost,
        enqueued_at=enqueued_at / 1e6,
        died_at=died_at / 1e6,
    )


def as_reason(text: str) -> Reason:
    """Return the reason of a dead message; UNDECODABLE if it is damaged."""
    try:
        return Reason(text)
    except ValueError:
        return Reason.UNDECODABLE
