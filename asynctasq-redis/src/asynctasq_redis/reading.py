"""Records as the scripts return them. A damaged one is shown as damaged, and affects no other."""

from collections.abc import Callable
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter, Outcome, Snapshot
from asynctasq.driverkit.packing import damage_info, unpack_error
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, State
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason
from asynctasq_redis.codec import (
    ABOUT,
    COMPLETED,
    DAMAGED,
    DAMAGES,
    DEAD,
    FOREVER,
    HEAD,
    LEASE,
    OUTCOME,
    RESULT,
    Head,
    queue_name,
    unpack_head,
    unpack_message_key,
)


@record
class Found:
    """A message as `find` returns it."""

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
    """Return a message as a snapshot."""
    head, (_, lease, error, _, _, flagged, *_) = found.head, found.row
    return Snapshot(
        message=found.message,
        state=found.state,
        attempt=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        due_at=head.due_at,
        owner=None if lease is None else _lease_owner(lease),
        cancelling=bool(flagged),
        error=unpack_error(error) or found.damage,
        leased_at=None if lease is None else _lease_time(lease),
    )


def dead_letter_of(found: Found, died_at: float) -> DeadLetter:
    """Return a message as a dead letter; `died_at` (microseconds) is for a record without a time of death."""
    head, (_, _, error, reason, died, *_) = found.head, found.row
    return DeadLetter(
        message=found.message,
        reason=Reason.UNDECODABLE if found.damage else _reason(reason),
        error=unpack_error(error) or found.damage,
        attempts=head.attempt,
        lost=head.lost,
        enqueued_at=head.enqueued_at,
        died_at=(number_of(died) or died_at) / 1e6,
    )


def outcome_of(message_id: bytes, row: Any) -> Outcome | None:
    """Return an outcome; one that cannot be read as that of a dead message."""
    if row is None:
        return None
    if isinstance(row, list):
        died_at, reason, error, about = row
        return Outcome(
            message_id,
            State.DEAD,
            (number_of(died_at) or 0) / 1e6,
            None,
            _reason(reason),
            unpack_error(error) or (None if reason else _damage(b"")),
            _split(about or b"")[0],
        )
    outcome = _read(OUTCOME.unpack_from, row)
    if outcome is None or not -FOREVER < outcome[2] < FOREVER or outcome[0] not in (3, 4):
        return Outcome(message_id, State.DEAD, 0.0, None, Reason.UNDECODABLE, _damage(row))
    kind, contents, finished_at, _ = outcome
    rest = row[OUTCOME.size :]
    about, result = _split(rest) if contents & ABOUT else (b"", rest)
    return Outcome(
        message_id,
        State.COMPLETED if kind == COMPLETED else State.CANCELLED,
        finished_at / 1e6,
        result if contents & RESULT else None,
        about=about,
    )


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return an `about`, which follows its length, and the rest."""
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end], data[end:]


def _lease_owner(lease: bytes) -> str | None:
    """Return the owner that a lease names; None if it cannot be read."""
    fields = _read(LEASE.unpack_from, lease)
    return fields and _name(lease[LEASE.size : LEASE.size + fields[3]])


def _lease_time(lease: bytes) -> float | None:
    """Return when a lease began; None if it cannot be read."""
    fields = _read(LEASE.unpack_from, lease)
    return None if fields is None else float(fields[1]) / 1e6


def _read(unpack: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return unpack(data)
    except DAMAGES:
        return None


def _name(data: bytes | None) -> str:
    return _read(queue_name, data or b"") or ""


def number_of(text: bytes | None) -> float | None:
    """Return a stored number; None if it cannot be read."""
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
