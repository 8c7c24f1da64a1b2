"""Messages to rows and back.

What the messages of one task have in common goes into the column `profile`, so that a chunk of them
is encoded, and a batch decoded, by one look-up each; the body goes into `payload` as it is. A message
that has more (headers, a delay, a unique key, ...) says so in its profile, and its payload is all of
it, packed.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgpack

from asynctasq.contracts.packing import pack_message, unpack_message
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import NO_HEADERS, PRIORITY_HIGHEST, Message, State
from asynctasq.settlement import ErrorInfo

BLOCKED, LEASED, DEAD = 4, 5, 6
"""States as stored; what is lower waits, what is higher has ended."""
STATES = {
    2: State.SCHEDULED,
    3: State.READY,
    BLOCKED: State.BLOCKED,
    LEASED: State.LEASED,
    DEAD: State.DEAD,
    7: State.COMPLETED,
    8: State.CANCELLED,
}
FOREVER = 1 << 60
"""Microseconds: so long that nobody waits for its end, and sums of two still fit 64 bits."""
ID_BYTES = 16
SIZE_BITS = 31
VALUE_LIMIT = 999_000_000
"""Bytes: a little under SQLite's limit for one value, which is also its limit for a row."""
PROFILES_REMEMBERED = 2048

log = logging.getLogger("asynctasq.sqlite")

Profile: TypeAlias = tuple[str, int, int, int, float, float | None, bool]
"""Task, priority, max_attempts, max_lost, result_ttl, expires, and whether there is more."""


def micros(seconds: float) -> int:
    """Seconds as stored."""
    if -1e12 < seconds < 1e12:
        return round(seconds * 1e6)
    if math.isnan(seconds):
        raise DriverError("A time or duration is not a number (NaN).")
    return FOREVER if seconds > 0 else -FOREVER


def seconds(microseconds: int) -> float:
    """What `micros` made, as seconds."""
    return microseconds / 1e6


@lru_cache(PROFILES_REMEMBERED)
def pack_profile(*profile: object) -> bytes:
    """The fields of a `Profile` as stored."""
    return _pack(profile)


@lru_cache(PROFILES_REMEMBERED)
def unpack_profile(data: bytes) -> Profile:
    """What `pack_profile` made."""
    task, priority, max_attempts, max_lost, result_ttl, expires, plain, *_ = _unpack(data)
    return task, priority, max_attempts, max_lost, result_ttl, expires, plain


def is_plain(message: Message) -> bool:
    """Whether the profile and the body say all there is."""
    return not (
        message.headers
        or message.delay
        or message.parents
        or message.limits
        or message.eta is not None
        or message.unique is not None
        or message.workflow is not None
        or message.schedule is not None
        or message.group is not None
    )


def pack_payload(message: Message, *, plain: bool) -> bytes:
    """The body, or all of the message where there is more.

    Raises:
        DriverError: a header, the unique key or another name is no valid text.
    """
    if plain:
        return message.body
    try:
        return pack_message(message)
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error


def unpack_row(message_id: bytes, queue: str, profile: bytes, payload: bytes) -> Message:
    """The message of a row."""
    task, priority, max_attempts, max_lost, result_ttl, expires, plain = unpack_profile(profile)
    if not plain:
        try:
            return unpack_message(payload)
        except BodyCorrupt as error:
            # One damaged row must not stop its queue: as a body it ends up with the dead letters.
            log.warning("Message %s in the queue file is damaged: %s", message_id.hex(), error)
    return Message(
        message_id, queue, task, payload, priority, 0.0, None, expires, max_attempts, max_lost,
        result_ttl, None, (), None, None, (), None, NO_HEADERS,
    )  # fmt: skip


def not_unicode(error: UnicodeEncodeError) -> DriverError:
    """The error for text that cannot be stored."""
    return DriverError(f"A name, key or header is no valid Unicode text: {error.object!r}.")


def pack_error(error: ErrorInfo | None) -> bytes | None:
    """An error as stored."""
    return None if error is None else _pack((error.type, error.message, error.traceback))


def unpack_error(data: bytes | None) -> ErrorInfo | None:
    """What `pack_error` made."""
    return None if data is None else ErrorInfo(*_unpack(data))


def rank(priority: int) -> int:
    """Priority as stored: the first has the lowest."""
    return PRIORITY_HIGHEST - priority


def check_id(message_id: bytes) -> None:
    """Refuse an id that would shift the places of those behind it."""
    if len(message_id) != ID_BYTES:
        raise DriverError(
            f"The message id {message_id!r} has {len(message_id)} bytes instead of 16."
        )


def join_ids(ids: Sequence[bytes]) -> tuple[bytes, str]:
    """Ids as one value, and their places as a JSON array, whose keys are their numbers."""
    for message_id in ids:
        check_id(message_id)
    return b"".join(ids), json_list(range(1, len(ids) * ID_BYTES + 1, ID_BYTES))


def json_list(numbers: Iterable[int]) -> str:
    """Whole numbers as a JSON array."""
    return str(list(numbers))


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.Packer(unicode_errors="surrogatepass").pack(value)
    return packed


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, unicode_errors="surrogatepass")
