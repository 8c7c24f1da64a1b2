"""Reading rows that may be damaged.

SQLite keeps any value in any column, and a file may be damaged or edited. Reading a row must not fail for any
value: unreadable values are shown as such, and cost no other row.
"""

from typing import Any

from asynctasq.driverkit.packing import (
    ID_BYTES,
    damage_info,
    decode_message,
    salvage,
    unpack_error,
)
from asynctasq.driverkit.sql import STATES
from asynctasq.driverkit.times import FOREVER
from asynctasq.errors import BodyCorrupt
from asynctasq.message import Message, State
from asynctasq.settlement import ErrorInfo, Reason

COUNT_LIMIT = 1 << 31


def as_bytes(value: Any) -> bytes:
    """Return the bytes of a value of any type."""
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def as_id(value: Any) -> bytes:
    """Return an id of the right length: the stored one if it is not damaged."""
    if type(value) is bytes and len(value) == ID_BYTES:
        return value
    return as_bytes(value)[:ID_BYTES].ljust(ID_BYTES, b"\0")


def as_micros(value: Any) -> int:
    """Return a stored time; 0 if it is damaged."""
    return value if type(value) is int and abs(value) <= 2 * FOREVER else 0


def as_count(value: Any) -> int:
    """Return a stored number of attempts or losses; 0 if it is damaged."""
    return value if type(value) is int and 0 <= value < COUNT_LIMIT else 0


def as_state(value: Any, due_at: Any, now: int) -> State:
    """Return the state that a row shows; READY if it is damaged."""
    state = STATES.get(value, State.READY) if type(value) is int else State.READY
    is_due = state is State.SCHEDULED and as_micros(due_at) <= now
    return State.READY if is_due else state


def as_reason(value: Any) -> Reason:
    """Return the reason of a dead message; UNDECODABLE if it is damaged."""
    try:
        return Reason(value)
    except ValueError:
        return Reason.UNDECODABLE


def read_error(data: Any) -> ErrorInfo | None:
    """Return a stored error; one that names the damage if it cannot be read."""
    return None if data is None else unpack_error(as_bytes(data))


def _check(message_id: Any, payload: Any) -> None:
    if as_id(message_id) is not message_id:
        raise BodyCorrupt(f"The id of a message in the store is damaged: {message_id!r}.")
    if not isinstance(payload, bytes):
        raise BodyCorrupt("The stored body of a message is damaged.")


def read_message(
    message_id: Any, queue: str, profile: Any, payload: Any
) -> tuple[Message, ErrorInfo | None]:
    """Return the message of a row, and its damage, if any."""
    try:
        _check(message_id, payload)
        return decode_message(message_id, queue, profile, payload), None
    except BodyCorrupt as error:
        left = salvage(as_id(message_id), queue, as_bytes(profile), as_bytes(payload))
        return left, damage_info(error)
