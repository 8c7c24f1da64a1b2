"""Rows of messages that a broker held: outcomes, dead letters, and messages that move into the store."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.state import Adopted, Ended
from asynctasq.driverkit.packing import pack_error
from asynctasq.driverkit.sql import DEAD, pack_row, rank
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.errors import DriverError
from asynctasq.message import Message, State
from asynctasq_mysql.keys import key_hash
from asynctasq_mysql.store import Store

_STATES = {State.COMPLETED: 7, State.CANCELLED: 8}
_COUNT_LIMIT = (1 << 31) - 1

Cell = int | bytes | None


def end_row(store: Store, end: Ended, numbers: dict[str, int], now: int) -> Sequence[Cell]:
    """Return the row of an outcome, or of a dead letter."""
    message = end.message
    past = (micros(end.enqueued_at), min(end.attempts, _COUNT_LIMIT), min(end.lost, _COUNT_LIMIT))
    if end.state is State.DEAD:
        assert end.reason is not None  # `check_ends` has made sure
        profile, payload = packed(store, message)
        return _row(
            store,
            message,
            numbers,
            past,
            place=(DEAD, 0, 6, now, now, now),
            finished=(now, end.reason.value.encode(), end.about or None),
            stored=(profile, None, pack_error(end.error), payload),
        )
    has_result = end.state is State.COMPLETED and end.result_ttl > 0.0
    ends_at = now + micros(kept_for(end.result_ttl))
    return _row(
        store,
        message,
        numbers,
        past,
        place=(_STATES[end.state], rank(message.priority), 7, ends_at, now, now),
        finished=(now, None, end.about or None),
        stored=(None, None, None, end.result if has_result else None),
    )


def adopted_row(
    store: Store, each: Adopted, numbers: dict[str, int], now: int, progress: bytes | None
) -> Sequence[Cell]:
    """Return the row of a message that moves into the store."""
    due = micros(each.due_at)
    is_ready = due <= now
    profile, payload = packed(store, each.message)
    return _row(
        store,
        each.message,
        numbers,
        (micros(each.enqueued_at), min(each.attempt, _COUNT_LIMIT), min(each.lost, _COUNT_LIMIT)),
        place=(
            3 if is_ready else 2,
            rank(each.message.priority),
            None if is_ready else 2,
            None if is_ready else due,
            due,
            due,
        ),
        finished=(None, None, None),
        stored=(profile, progress, pack_error(each.error), payload),
    )


def _row(
    store: Store,
    message: Message,
    numbers: dict[str, int],
    past: tuple[int, int, int],
    *,
    place: tuple[int, int, int | None, int | None, int, int],
    finished: tuple[int | None, bytes | None, bytes | None],
    stored: tuple[bytes | None, bytes | None, bytes | None, bytes | None],
) -> Sequence[Cell]:
    """Return the row of a message.

    Args:
        store: in which it is.
        message: whose row it is.
        numbers: of queues.
        past: time of the enqueue, attempts and lost leases.
        place: state, rank, alarm, its time, place in the queue, and due time.
        finished: time, reason and `about` of the end.
        stored: profile, progress, error and payload.
    """
    state, priority, alarm, alarm_at, sort_at, due_at = place
    enqueued_at, attempt, lost = past
    finished_at, reason, about = finished
    profile, progress, error, payload = stored
    unique = None if message.unique is None else key_hash(message.unique.key)
    expires = None if message.expires is None else micros(message.expires)
    return (
        message.id, store.namespace, numbers[message.queue], state, priority, alarm, alarm_at, sort_at, due_at,
        enqueued_at, expires, micros(message.result_ttl), 1, 0, attempt, lost, message.max_lost, 1, finished_at,
        unique if state <= DEAD else None, reason, len(payload or b""), about, profile, progress, error, payload,
    )  # fmt: skip


def packed(store: Store, message: Message) -> tuple[bytes, bytes]:
    """Return the profile and the payload of a message.

    Raises:
        DriverError: it is too large.
    """
    profile, payload = pack_row(message)
    check_size(store, len(profile) + len(payload), "A message")
    return profile, payload


def check_size(store: Store, size: int, what: str) -> None:
    """Refuse what does not fit into a packet.

    Raises:
        DriverError: it is too large.
    """
    if size > store.largest:
        raise DriverError(
            f"{what} must have at most {store.largest} bytes, got {size}. Store large data elsewhere and "
            f"pass a reference to it, or raise max_allowed_packet."
        )
