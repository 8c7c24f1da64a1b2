"""Records as the scripts answer with them. One that is damaged is shown as such and stops no other."""

from collections.abc import Callable
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter, Outcome, Snapshot
from asynctasq.driverkit.packing import damage_info
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason
from asynctasq_redis.codec import (
    COMPLETED,
    DAMAGED,
    DAMAGES,
    DEAD,
    FOREVER,
    HEAD,
    LEASE,
    OUTCOME,
    Head,
    queue_name,
    unpack_error,
    unpack_head,
    unpack_message_key,
)


@record
class Found:
    """A message as `find` answers with it."""

    head: Head
    message: Message
    state: State
    damage: ErrorInfo | None
    """Error that describes the damage; None if the record can be read."""
    row: Any


def read_row(message_id: bytes, row: Any, now: int) -> Found:
    """Read a row of the script `find`."""
    value, lease, _, _, _, _, place, queue = row
    head = _read(unpack_head, value)
    if place is not None or head is None:  # not even its beginning can be read
        place = State.READY if place is None else State(place.decode())
        message = Message(message_id, _name(queue), "", value)
        head = Head(DEAD if place is State.DEAD else 1, 0, 0, 0, 0, 0.0, 0.0)
        return Found(head, message, place, _damage(value), row)
    if head.state == DEAD:
        state = State.DEAD
    elif lease is not None:
        state = State.LEASED
    else:
        state = State.SCHEDULED if round(head.due_at * 1e6) > now else State.READY
    try:
        if head.flags & DAMAGED:
            raise BodyCorrupt(f"The stored record of a message ({len(value)} bytes) is damaged.")
        return Found(head, unpack_message_key(message_id, value), state, None, row)
    except DAMAGES as error:
        at = HEAD.size + HEAD.unpack_from(value)[11]
        damage = damage_info(BodyCorrupt(str(error)))
        name = _name(value[HEAD.size : at])
        return Found(head, Message(message_id, name, "", value[at:]), state, damage, row)


def snapshot_of(found: Found) -> Snapshot:
    """Show a message."""
    head, (_, lease, error, _, _, flagged, *_) = found.head, found.row
    return Snapshot(
        message=found.message,
        state=found.state,
        attempt=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        due_at=head.due_at,
        owner=None if lease is None else lease_owner(lease),
        cancelling=bool(flagged),
        error=unpack_error(error) or found.damage,
    )


def dead_letter_of(found: Found, died_at: float) -> DeadLetter:
    """Show a dead letter. `died_at` is for one that does not say so itself: microseconds."""
    head, (_, _, error, reason, died, *_) = found.head, found.row
    return DeadLetter(
        message=found.message,
        reason=Reason.UNDECODABLE if found.damage else _reason(reason),
        error=unpack_error(error) or found.damage,
        attempts=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        died_at=(_number(died) or died_at) / 1e6,
    )


def outcome_of(message_id: bytes, row: Any) -> Outcome | None:
    """Show an outcome; one that cannot be read as that of a dead message."""
    if row is None:
        return None
    if isinstance(row, list):
        died_at, reason, error = row
        return Outcome(
            message_id,
            State.DEAD,
            (_number(died_at) or 0) / 1e6,
            None,
            _reason(reason),
            unpack_error(error) or (None if reason else _damage(b"")),
        )
    outcome = _read(OUTCOME.unpack_from, row)
    if outcome is None or not -FOREVER < outcome[2] < FOREVER or outcome[0] not in (3, 4):
        return Outcome(message_id, State.DEAD, 0.0, None, Reason.UNDECODABLE, _damage(row))
    kind, has_result, finished_at, _ = outcome
    return Outcome(
        message_id,
        State.COMPLETED if kind == COMPLETED else State.CANCELLED,
        finished_at / 1e6,
        row[OUTCOME.size :] if has_result else None,
    )


def lease_owner(lease: bytes) -> str | None:
    """Return the owner that a lease names; None if it cannot be read."""
    length = _read(LEASE.unpack_from, lease)
    return length and _name(lease[LEASE.size : LEASE.size + length[3]])


def lease_queue(lease: bytes) -> bytes:
    """Return the queue that a lease names; nothing if it cannot be read."""
    length = _read(LEASE.unpack_from, lease)
    if length is None:
        return b""
    start = LEASE.size + length[3]
    return lease[start + 2 : start + 2 + int.from_bytes(lease[start : start + 2], "big")]


def _read(unpack: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return unpack(data)
    except DAMAGES:
        return None


def _name(data: bytes | None) -> str:
    return _read(queue_name, data or b"") or ""


def _number(text: bytes | None) -> float | None:
    try:
        number = float(text or b"")
    except ValueError:
        return None
    return number if -FOREVER < number < FOREVER else None


def _reason(text: bytes | None) -> Reason:
    try:
        return Reason((text or b"").decode())
    except ValueError:
        return Reason.UNDECODABLE


def _damage(value: bytes) -> ErrorInfo:
    return damage_info(
        BodyCorrupt(f"The stored record of a message ({len(value)} bytes) is damaged.")
    )
