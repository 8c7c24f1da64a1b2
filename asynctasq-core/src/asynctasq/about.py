"""Facts that core keeps with the outcome of a message: task, queue, times, attempts and worker, in 60 to 100 bytes.

Drivers store these bytes and return them in `Outcome.about`; they do not read them.
"""

from collections.abc import Callable
from struct import Struct, error

from asynctasq.records import record
from asynctasq.settlement import ABOUT_BYTES

VERSION = 1
"""First byte of an `about` that this release writes."""
_NUMBERS = Struct("!BddddH")
_LENGTH = Struct("!H")
_MOST = 0xFFFF

pack_fields: Callable[[int, float, float, float, float, int], bytes] = _NUMBERS.pack
"""Does what `pack_numbers` does, without its check of the attempts; the first argument is `VERSION`.

Raises:
    struct.error: there are more attempts than 16 bits hold.
"""


@record
class About:
    """A message that has ended, and its last run. Times are seconds since the Unix epoch."""

    task: str
    queue: str
    worker: str
    enqueued_at: float
    due_at: float
    """When it became ready for the last run. This and `enqueued_at` are by the store's clock."""
    started_at: float
    """When the last run started, by the worker's clock."""
    ended_at: float
    """When the last run ended, by the worker's clock."""
    attempts: int
    """Runs that ended, this one included."""

    @property
    def seconds(self) -> float:
        """The duration of the last run."""
        return self.ended_at - self.started_at


def pack_names(task: str, queue: str, worker: str) -> bytes | None:
    """Return the names, which are the same for many messages; None if they are too long for `about`."""
    names = [name.encode("utf-8", "surrogatepass") for name in (task, queue, worker)]
    packed = b"".join(_LENGTH.pack(len(name) % (_MOST + 1)) + name for name in names)
    return packed if len(packed) <= ABOUT_BYTES - _NUMBERS.size else None


def pack_numbers(
    enqueued_at: float, due_at: float, started_at: float, ended_at: float, attempts: int
) -> bytes:
    """Return the part of `about` that precedes the names."""
    if not 0 <= attempts <= _MOST:
        attempts = _MOST
    return pack_fields(VERSION, enqueued_at, due_at, started_at, ended_at, attempts)


def unpack_about(data: bytes) -> About | None:
    """Return what `pack_numbers` and `pack_names` made bytes of; None if they are empty, damaged or of another version."""
    try:
        version, enqueued_at, due_at, started_at, ended_at, attempts = _NUMBERS.unpack_from(data)
        if version != VERSION:
            return None
        names: list[str] = []
        place = _NUMBERS.size
        for _ in range(3):
            [length] = _LENGTH.unpack_from(data, place)
            place += _LENGTH.size
            name = data[place : place + length]
            if len(name) < length:
                return None
            names.append(name.decode("utf-8", "surrogatepass"))
            place += length
    except (error, UnicodeDecodeError):
        return None
    task, queue, worker = names
    return About(task, queue, worker, enqueued_at, due_at, started_at, ended_at, attempts)
