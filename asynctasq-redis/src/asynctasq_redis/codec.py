"""Messages to bytes and back, laid out so that scripts find the fields that they need at fixed places.

Fields that all messages of one task share go into a profile, which is encoded and decoded once. The body
follows as it is. A message with more fields (headers, a workflow, ...) says so in its profile, and is
packed whole instead of its body.
"""

import struct
from functools import lru_cache
from struct import Struct

from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import (
    PROFILES_REMEMBERED,
    Profile,
    decode_message,
    is_plain,
    message_of,
    not_unicode,
    pack_message,
    pack_profile,
    unpack_profile,
)
from asynctasq.driverkit.times import micros
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import (
    NO_RESULTS,
    PRIORITY_HIGHEST,
    Delivery,
    Lease,
    Message,
    OnConflict,
    Unique,
    UniqueUntil,
)
from asynctasq.records import record

FORMAT = 2
"""The format of this release. Its keys begin with `{namespace}:2:`; those of format 1 had no number."""
WAITING, DEAD, COMPLETED = 1, 2, 3
"""First byte of a message's key; one more is cancelled."""
UNIQUE, MISMATCHED, DAMAGED = 2, 8, 16
"""Bits of the second byte."""
LARGE_BYTES = 16 * 1024
"""From this size on, messages go into the set `big`: reserves look at sizes before they read."""
HEAD = Struct(">BBQIIIBddddH")
"""State, flags, token, attempt, lost, max_lost, priority, times (enqueued, due, expires), result_ttl, and the
length of the name of the queue, which follows."""
OUTCOME = Struct(">BBdd")
"""State, contents, time of the end, time until which it is kept; then the contents."""
RESULT, ABOUT = 1, 2
"""Contents of an outcome: a result, and before it the `about` of its settlement with its length."""
LEASE = Struct(">QdBH")
"""Token, time, flags, and the length of the name of the owner, which follows."""
NUMBERS = Struct(">BIddddB")
"""Priority, max_lost, result_ttl, delay, eta, expires, and whether there is a unique key."""
UNIQUE_NUMBERS = Struct(">BBdI")
_SHORT = Struct(">H")
_LONG = Struct(">I")
_RUN = Struct(">HH")
_QUEUE = HEAD.size - 2
"""Where the length of the name of the queue begins."""

FOREVER = 4 * 10**15
"""Microseconds, as far as times are stored: a float holds the sum of this and the present exactly."""
NONE = -1.0
_ENDLESS = float("inf")
MOST_32 = 2**32 - 1
LARGEST_TOKEN = 2**53 - 1
"""Numbers of Lua are floats: larger ones are not exact."""
BODY_LIMIT = 500_000_000
"""Bytes: a little less than Redis takes in one value."""
_SURROGATES = "surrogatepass"

DAMAGES = (BodyCorrupt, struct.error, ValueError, LookupError)
"""Exceptions raised by reading a damaged record."""

HOLDS = {UniqueUntil.STARTED: 1, UniqueUntil.SETTLED: 2, UniqueUntil.PERIOD: 3}
CONFLICTS = {OnConflict.SKIP: 1, OnConflict.REPLACE: 2, OnConflict.EXTEND: 3}


def whole_micros(seconds: float) -> int:
    """Return seconds as whole microseconds, as far as Lua keeps them exactly.

    Raises:
        DriverError: it is not a number.
    """
    return micros(seconds, forever=FOREVER)


@lru_cache(PROFILES_REMEMBERED)
def _sized_profile(*profile: object) -> bytes:
    packed = pack_profile(*profile)
    return _SHORT.pack(len(packed)) + packed


def pack_blob(message: Message) -> bytes:
    """Return a message as bytes, without its id and, if its profile has all other fields, without its queue.

    Raises:
        DriverError: it is too large, or a header, key or name is not valid text.
    """
    plain = is_plain(message)
    if len(message.body) > BODY_LIMIT:
        raise DriverError(
            f"The body of a message must have at most {BODY_LIMIT} bytes on Redis, got {len(message.body)}."
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
    """Return a stored name as text, with the bytes of a damaged one escaped."""
    try:
        return data.decode("utf-8", _SURROGATES)
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


def text_bytes(text: str) -> bytes:
    """Return a name or key as it is stored."""
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
    length = HEAD.unpack_from(value)[11]
    queue = value[HEAD.size : HEAD.size + length]
    return _unpack_blob(message_id, queue, value, blob_start(value))


def blob_start(value: bytes) -> int:
    """Return where the message begins in its key, behind the head, the queue and the unique key.

    Raises:
        DAMAGES: the record is damaged.
    """
    _, flags, *_, length = HEAD.unpack_from(value)
    at = HEAD.size + length
    if flags & UNIQUE:
        at += 4 + _LONG.unpack_from(value, at)[0]
    return int(at)


def unpack_delivery(message_id: bytes, value: bytes, now: int) -> Delivery:
    """Return the delivery of a message, by its key as it was just before the lease that began at `now`.

    Raises:
        DAMAGES: the record is damaged.
    """
    (
        _, flags, token, attempt, lost, _, _, enqueued_at, due_at, _, _, length,
    ) = _unpack_head(value)  # fmt: skip
    if not (enqueued_at < FOREVER and due_at < _ENDLESS):  # NaN is neither
        raise BodyCorrupt("The stored record of a message has no time of its enqueue.")
    at = HEAD.size + length
    if flags & UNIQUE:
        queue = value[HEAD.size : at]
        at += 4 + _LONG.unpack_from(value, at)[0]
        message = _unpack_blob(message_id, queue, value, at)
    else:
        end = at + 2 + (value[at] << 8 | value[at + 1])
        shared = value[_QUEUE:end]
        name, profile = _profiles.get(shared) or _remember(shared)
        message = message_of(message_id, name, profile, value[end:])
    return Delivery(
        message, Lease(message_id, now if token < now else token + 1), attempt, lost,
        enqueued_at / 1e6, 0.0, NO_RESULTS, due_at / 1e6, token != 0,
    )  # fmt: skip


_unpack_head = HEAD.unpack_from
_profiles: dict[bytes, tuple[str, Profile]] = {}
"""Names of queues and profiles, by the bytes that are the same in all messages of a task."""


def _remember(shared: bytes) -> tuple[str, Profile]:
    """Read the name of a queue with its length, and a profile with its length."""
    at = 2 + _SHORT.unpack_from(shared)[0]
    found = queue_name(shared[2:at]), unpack_profile(shared[at + 2 :])
    if len(_profiles) >= PROFILES_REMEMBERED:
        _profiles.clear()
    _profiles[shared] = found
    return found


def priority_of(message: Message) -> int:
    """Return the number within the limits of the layout."""
    return min(max(message.priority, 0), PRIORITY_HIGHEST)


def max_lost_of(message: Message) -> int:
    """Return the number within the limits of the layout."""
    return min(max(message.max_lost, 0), MOST_32)


def pack_numbers(message: Message) -> bytes:
    """Return the fields of fixed size that scripts read."""
    return NUMBERS.pack(
        priority_of(message),
        max_lost_of(message),
        message.result_ttl,
        max(whole_micros(message.delay), 0.0),
        NONE if message.eta is None else max(whole_micros(message.eta), 0.0),
        NONE if message.expires is None else max(whole_micros(message.expires), 0.0),
        message.unique is not None,
    )


def pack_run(profile: int, length: int) -> bytes:
    """Return the header of a run of messages that share a profile."""
    return _RUN.pack(profile, length)


def pack_unique(unique: Unique) -> bytes:
    """Return a unique key with its rule."""
    try:
        key = text_bytes(unique.key)
    except UnicodeEncodeError as error:  # pragma: no cover - every str can be encoded so
        raise DriverError(f"The unique key must be valid text, got {unique.key!r}.") from error
    period = NONE if unique.period is None else max(whole_micros(unique.period), 0.0)
    return (
        UNIQUE_NUMBERS.pack(HOLDS[unique.until], CONFLICTS[unique.on_conflict], period, len(key))
        + key
    )


def token_of(lease: Lease) -> int:
    """Return the token of a lease; 0 if this driver cannot have given it."""
    token = lease.token
    return token if isinstance(token, int) and 0 < token <= LARGEST_TOKEN else 0
