"""The keys of the live view, read from the bytes of a terminal."""

from collections.abc import Mapping
from enum import Enum, auto


class Key(Enum):
    """A key that the live view knows."""

    UP = auto()
    DOWN = auto()
    PAUSE = auto()
    QUIT = auto()


_KEYS: Mapping[bytes, Key] = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"k": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"j": Key.DOWN,
    b"p": Key.PAUSE,
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
}
_STARTS = (b"\x1b", b"\x1b[", b"\x1bO")
_INTRODUCERS = b"[O"
_FINAL_BYTES = range(0x40, 0x7F)


class KeyReader:
    """Splits bytes into keys. A sequence may arrive in several parts, and unknown ones are skipped."""

    def __init__(self) -> None:
        self._rest = b""

    def keys(self, data: bytes) -> list[Key]:
        """Return the keys that these bytes complete."""
        self._rest += data
        found: list[Key] = []
        while self._rest and self._rest not in _STARTS:
            size = _length(self._rest)
            if size == 0:
                break
            key = _KEYS.get(self._rest[:size])
            if key is not None:
                found.append(key)
            self._rest = self._rest[size:]
        return found


def _length(data: bytes) -> int:
    """Return the length of the first key; 0 if its end is missing."""
    if data[0] != 0x1B or data[1] not in _INTRODUCERS:
        return 1
    for place in range(2, len(data)):
        if data[place] in _FINAL_BYTES:
            return place + 1
    return 0
