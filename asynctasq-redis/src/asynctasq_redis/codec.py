"""Messages to bytes and back, laid out so that scripts read what they need at fixed places.

What the messages of one task have in common goes into a profile, which is encoded and decoded once;
the body follows as it is. A message that has more (headers, a workflow, ...) says so in its profile,
and is packed whole instead.
"""

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

import msgpack

from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import (
    PROFILES_REMEMBERED,
    damage_info,
    decode_message,
    is_plain,
    not_unicode,
    pack_message,
    pack_profile,
)
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import (
    PRIORITY_HIGHEST,
    Delivery,
    Lease,
    Message,
    OnConflict,
    Unique,
    UniqueUntil,
)
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo

WAITING, DEAD, COMPLETED = 1, 2, 3
"""First byte of a message's key; one more is cancelled."""
UNIQUE, MISMATCHED, DAMAGED = 2, 8, 16
"""Bits of the second byte."""
LARGE_BYTES = 16 * 1024
"""From this size on, messages go into the set `big`: reserves look at sizes before they read."""
HEAD = Struct(">BBQIIIBddddH")
"""state, flags, token, attempt, lost, max_lost, priority, enqueued, due, expires, result_ttl, and the
length of the queue's name, which follows."""
OUTCOME = Struct(">BBdd")
"""State, contents, time of the end, time until which it is kept; then the contents."""
RESULT, ABOUT = 1, 2
"""Contents of an outcome: a result, and before it the `about` of its settlement with its length."""
LEASE = Struct(">QdBH")
"""token, leased at, flags, and the length of the owner's name, which follows."""
NUMBERS = Struct(">BIddddB")
"""priority, max_lost, result_ttl, delay, eta, expires, whether there is a unique key."""
UNIQUE_NUMBERS = Struct(">BBdI")
_SHORT = Struct(">H")
_LONG = Struct(">I")
_RUN = Struct(">HH")

FOREVER = 4 * 10**15
"""Microseconds: so long that nobody waits for its end, and now plus that is exact in a float."""
NONE = -1.0
MOST_32 = 2**32 - 1
LARGEST_TOKEN = 2**53 - 1
"""Numbers of Lua are floats: larger ones are not exact."""
BODY_LIMIT = 500_000_000
"""Bytes: a little under what a Redis takes at once."""
_SURROGATES = "surrogatepass"

DAMAGES = (BodyCorrupt, struct.error, ValueError, LookupError)
"""Exceptions raised by reading a damaged record."""

HOLDS = {UniqueUntil.STARTED: 1, UniqueUntil.SETTLED: 2, UniqueUntil.PERIOD: 3}
CONFLICTS = {OnConflict.SKIP: 1, OnConflict.REPLACE: 2, OnConflict.EXTEND: 3}


def micros(seconds: float) -> float:
    """Seconds as stored: whole microseconds.

    Raises:
        DriverError: it is not a number.
    """
    if -4e9 < seconds < 4e9:
        return float(round(seconds * 1e6))
    if math.isnan(seconds):
        raise DriverError("A time or duration is not a number (NaN).")
    return float(FOREVER if seconds > 0 else -FOREVER)


@lru_cache(PROFILES_REMEMBERED)
def _sized_profile(*profile: object) -> bytes:
    packed = pack_profile(*profile)
    return _SHORT.pack(len(packed)) + packed


def pack_blob(message: Message) -> bytes:
    """All of a message but its id and, where its profile tells the rest, its queue.

    Raises:
        DriverError: it is too large, or a header, key or name is no valid text.
    """
    plain = is_plain(message)
    if len(message.body) > BODY_LIMIT:
        raise DriverError(
            f"A message of {len(message.body)} bytes: Redis takes {BODY_LIMIT} at the most."
        )
    try:
        profile = _sized_profile(
            message.task,
            message.priority,
            message.max_attempts,
            message.max_lost,
            message.result_ttl,
            message.expires,
            plain,
        )
        return profile + (message.body if plain else pack_message(message))
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error
    except OverflowError as error:
        check_numbers(message)  # names the field
        raise DriverError(f"A number of the message is too large to be stored: {error}.") from error
    except struct.error as error:
        raise DriverError(
            f"The name of a task must be shorter than 65,000 bytes, got {len(message.task)} characters."
        ) from error


def _unpack_blob(message_id: bytes, queue: bytes, value: bytes, at: int) -> Message:
    start = at + 2
    end = start + _SHORT.unpack_from(value, at)[0]
    return decode_message(message_id, queue_name(queue), value[start:end], value[end:])


@lru_cache(PROFILES_REMEMBERED)
def queue_name(data: bytes) -> str:
    """Return a stored name as text; one that is damaged with its bytes escaped."""
    try:
        return data.decode("utf-8", _SURROGATES)
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


def text_bytes(text: str) -> bytes:
    """A name or key as stored."""
    return text.encode("utf-8", _SURROGATES)


@record
class Head:
    """The beginning of a message's key."""

    state: int
    flags: int
    token: int
    attempt: int
    lost: int
    enqueued_at: float
    due_at: float


def unpack_head(value: bytes) -> Head:
    """Return the beginning of a message's key."""
    head = HEAD.unpack_from(value)
    return Head(head[0], head[1], head[2], head[3], head[4], head[7] / 1e6, head[8] / 1e6)


def unpack_message_key(message_id: bytes, value: bytes) -> Message:
    """Return the message that is stored in a key.

    Raises:
        DAMAGES: the record is damaged.
    """
    _, flags, *_, length = HEAD.unpack_from(value)
    at = HEAD.size + length
    queue = value[HEAD.size : at]
    if flags & UNIQUE:
        at += 4 + _LONG.unpack_from(value, at)[0]
    return _unpack_blob(message_id, queue, value, at)


def unpack_delivery(message_id: bytes, value: bytes, now: int) -> Delivery:
    """Return the delivery of a message that was leased at `now`, by its key as it was just before that.

    Raises:
        DAMAGES: the record is damaged.
    """
    _, flags, token, attempt, lost, _, _, enqueued_at, _, _, _, length = HEAD.unpack_from(value)
    if not enqueued_at < FOREVER:  # nor is NaN
        raise BodyCorrupt("The stored record of a message has no time of its enqueue.")
    at = HEAD.size + length
    queue = value[HEAD.size : at]
    if flags & UNIQUE:
        at += 4 + _LONG.unpack_from(value, at)[0]
    message = _unpack_blob(message_id, queue, value, at)
    token = now if token < now else token + 1
    return Delivery(message, Lease(message_id, token), attempt, lost, enqueued_at / 1e6)


def priority_of(message: Message) -> int:
    """Within what is stored."""
    return min(max(message.priority, 0), PRIORITY_HIGHEST)


def max_lost_of(message: Message) -> int:
    """Within what is stored."""
    return min(max(message.max_lost, 0), MOST_32)


def pack_numbers(message: Message) -> bytes:
    """What scripts must know of a message and has a fixed size."""
    return NUMBERS.pack(
        priority_of(message),
        max_lost_of(message),
        message.result_ttl,
        max(micros(message.delay), 0.0),
        NONE if message.eta is None else max(micros(message.eta), 0.0),
        NONE if message.expires is None else max(micros(message.expires), 0.0),
        message.unique is not None,
    )


def pack_run(profile: int, length: int) -> bytes:
    """How many messages of a profile follow."""
    return _RUN.pack(profile, length)


def pack_unique(unique: Unique) -> bytes:
    """A unique key with its rule."""
    try:
        key = text_bytes(unique.key)
    except UnicodeEncodeError as error:  # pragma: no cover - every str can be encoded so
        raise DriverError(f"The unique key {unique.key!r} is no valid text.") from error
    period = NONE if unique.period is None else max(micros(unique.period), 0.0)
    return (
        UNIQUE_NUMBERS.pack(HOLDS[unique.until], CONFLICTS[unique.on_conflict], period, len(key))
        + key
    )


def pack_error(error: ErrorInfo | None) -> bytes:
    """An error as stored; nothing for none."""
    return b"" if error is None else _pack((error.type, error.message, error.traceback))


def unpack_error(data: bytes | None) -> ErrorInfo | None:
    """Return what `pack_error` made bytes of; an error that says so if those are damaged."""
    if not data:
        return None
    try:
        kind, text, traceback = _unpack(data)
        if all(isinstance(part, str) for part in (kind, text, traceback)):
            return ErrorInfo(kind, text, traceback)
    except (ValueError, TypeError, msgpack.UnpackException):
        pass
    return damage_info(BodyCorrupt(f"The stored error ({len(data)} bytes) is damaged."))


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Pieces that one script call takes."""
    if len(items) <= size:
        return [items]
    return [items[start : start + size] for start in range(0, len(items), size)]


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.Packer(unicode_errors=_SURROGATES).pack(value)
    return packed


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, unicode_errors=_SURROGATES)
