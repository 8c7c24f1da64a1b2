"""Values as SQLite stores them, and lists of numbers as JSON."""

import logging
from collections.abc import Iterable, Sequence

from asynctasq.driverkit.packing import ID_BYTES, check_id
from asynctasq.driverkit.times import FOREVER

UNREACHABLE = 2 * FOREVER
"""Microseconds: a stored time above it is damaged. SQLite sorts values of other types above it too."""
SIZE_BITS = 31
VALUE_LIMIT = 999_000_000
"""Bytes: a little under SQLite's limit for one value, which is also its limit for a row."""
BLOB_LIMIT = 32 << 20
"""Bytes of messages, or of results, that one statement writes."""

log = logging.getLogger("asynctasq.sqlite")


def join_ids(ids: Sequence[bytes]) -> tuple[bytes, str]:
    """Return IDs as one value, and their places as a JSON array, whose keys are their numbers."""
    for message_id in ids:
        check_id(message_id)
    return b"".join(ids), json_list(range(1, len(ids) * ID_BYTES + 1, ID_BYTES))


def json_list(numbers: Iterable[int]) -> str:
    """Return whole numbers as a JSON array."""
    return str(list(numbers))
