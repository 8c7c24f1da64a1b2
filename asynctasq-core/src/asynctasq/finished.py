"""The latest outcomes of a worker in one queue, as bytes that a store keeps."""

from collections.abc import Iterable, Iterator
from struct import Struct, error

from asynctasq.message import State
from asynctasq.records import record

VERSION = 1
_ENTRY = Struct("!16sBH")
_NUMBER_OF_STATE = {State.COMPLETED: 1, State.CANCELLED: 2, State.DEAD: 3}
_STATE_OF_NUMBER = {number: state for state, number in _NUMBER_OF_STATE.items()}


@record
class Finished:
    """The outcome of one message."""

    id: bytes
    state: State
    """COMPLETED, CANCELLED or DEAD."""
    about: bytes
    """See `asynctasq.about`."""


def pack_finished(entries: Iterable[Finished]) -> bytes:
    """Return outcomes as bytes."""
    return bytes([VERSION]) + b"".join(
        _ENTRY.pack(each.id, _NUMBER_OF_STATE[each.state], len(each.about)) + each.about
        for each in entries
    )


def unpack_finished(data: bytes) -> Iterator[Finished]:
    """Iterate over what `pack_finished` made bytes of; it ends at the first entry that is damaged."""
    if data[:1] != bytes([VERSION]):
        return
    place = 1
    while place < len(data):
        try:
            message_id, number, length = _ENTRY.unpack_from(data, place)
        except error:
            return
        place += _ENTRY.size + length
        state = _STATE_OF_NUMBER.get(number)
        if state is None or place > len(data):
            return
        yield Finished(message_id, state, data[place - length : place])
