"""Messages to rows and back.

What the messages of one task have in common goes into the column `profile`, so that a chunk of them
is encoded, and a batch decoded, by one look-up each; the body goes into `payload` as it is. A message
that has more (headers, a delay, a unique key, ...) says so in its profile, and its payload is all of
it, packed.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgpack

from asynctasq.driverkit.packing import (
    ID_BYTES,
    check_id,
    not_unicode,
    pack_message,
)
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import PRIORITY_HIGHEST, Message, State
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
UNREACHABLE = 1 << 61
"""Microseconds: a stored time above it is damaged. SQLite sorts values of other types above it too."""
SIZE_BITS = 31
VALUE_LIMIT = 999_000_000
"""Bytes: a little under SQLite's limit for one value, which is also its limit for a row."""

log = logging.getLogger("asynctasq.sqlite")


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


def pack_error(error: ErrorInfo | None) -> bytes | None:
    """An error as stored."""
    return None if error is None else _pack((error.type, error.message, error.traceback))


def unpack_error(data: bytes | None) -> ErrorInfo | None:
    """Return what `pack_error` made bytes of.

    Raises:
        BodyCorrupt: `data` is something else.
    """
    if data is None:
        return None
    try:
        kind, message, traceback, *_ = _unpack(data)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise BodyCorrupt(f"The stored error of a message is damaged: {error}") from error
    if not (type(kind) is type(message) is type(traceback) is str):
        raise BodyCorrupt("The stored error of a message is damaged: it is not text.")
    return ErrorInfo(kind, message, traceback)


def rank(priority: int) -> int:
    """Priority as stored: the first has the lowest."""
    return PRIORITY_HIGHEST - priority


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
