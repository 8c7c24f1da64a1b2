"""Ends, flags, marks and notes of messages that a broker holds."""

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.marks import (
    FACT_OF_NOTE,
    check_adopted,
    check_ends,
    check_notes,
    marked_for,
)
from asynctasq.driverkit.packing import check_id, pack_error
from asynctasq.errors import DriverError
from asynctasq.message import Message, State
from asynctasq.settlement import ABOUT_BYTES
from asynctasq_redis.codec import (
    BODY_LIMIT,
    MOST_32,
    pack_blob,
    pack_numbers,
    text_bytes,
    whole_micros,
)
from asynctasq_redis.settling import (
    BYTES_SENT_AT_ONCE,
    COMPLETE,
    COMPLETE_EMPTY,
    about_of,
    failure_of,
)

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

AT_ONCE = 500
"""Items that one script call takes."""
_END = Struct(">BdddII")
"""Kind, time to live and time of the mark in seconds, time of the enqueue, attempts, lost leases."""
_PAST = Struct(">ddIIdB")
"""Due, enqueued, attempts, lost leases, time of the mark in seconds, whether there is an error."""
CANCELLED, DEAD = 5, 6
"""Kinds of ends beside those of `settling.COMPLETE`."""
_CANCEL_OUTCOMES = {
    "C": CancelOutcome.CANCELLED,
    "R": CancelOutcome.REQUESTED,
    "T": CancelOutcome.TOO_LATE,
    "U": CancelOutcome.UNKNOWN,
}
_MARKS = {
    "N": Mark.NONE,
    "F": Mark.FLAGGED,
    "E": Mark.ENDED,
    "M": Mark.MOVED,
    "R": Mark.RUNNING,
}


async def finish(server: "Server", offset: int, ends: Sequence[Ended]) -> list[bool]:
    """Keep the ends of messages.

    Raises:
        DriverError: an end is invalid or too large; nothing is kept.
    """
    check_ends(ends)
    packed = [_pack_end(end) for end in ends]
    return await _run_all(server, "finish", offset, packed)


async def cancel(
    server: "Server", offset: int, ids: Sequence[bytes], *, flag_for: float | None = None
) -> list[CancelOutcome]:
    """Cancel messages. With `flag_for`, flag those that are unknown for so many seconds."""
    seconds = b"" if flag_for is None else repr(float(flag_for)).encode()
    found: list[CancelOutcome] = []
    for some in batches(ids, AT_ONCE):
        answer = await server.run("cancel", offset, seconds, *some)
        found += [_CANCEL_OUTCOMES[code] for code in answer.decode()]
    return found


async def marks(server: "Server", offset: int, ids: Sequence[bytes]) -> list[Mark]:
    """Return the marks of messages."""
    found: list[Mark] = []
    for some in batches(ids, AT_ONCE):
        answer = await server.run("marks", offset, *some)
        found += [_MARKS[code] for code in answer.decode()]
    return found


async def adopt(server: "Server", offset: int, records: Sequence[Adopted]) -> list[bool]:
    """Enqueue messages with their past.

    Raises:
        DriverError: a number is not finite, or a message is too large; nothing is enqueued.
    """
    check_adopted(records)
    return await _run_all(server, "hand_over", offset, [_pack_adopted(each) for each in records])


async def note(server: "Server", offset: int, notes: Sequence[Note]) -> None:
    """Keep notes about messages."""
    check_notes(notes)
    for some in batches(notes, AT_ONCE):
        parts: list[bytes | int] = []
        for each in some:
            seconds = repr(float(each.ttl)).encode()
            parts += (each.id, FACT_OF_NOTE[each.kind].value, seconds, each.value)
        await server.run("note", offset, *parts)


async def _run_all(
    server: "Server", script: str, offset: int, packed: Sequence[Sequence[bytes]]
) -> list[bool]:
    """Run a script on all items, each of some arguments; it answers '1' or '0' for each."""
    answers: list[bool] = []
    for some in batches(packed, AT_ONCE, size=_bytes_of, most_bytes=BYTES_SENT_AT_ONCE):
        answer = await server.run(script, offset, *(part for item in some for part in item))
        answers += [code == ord("1") for code in answer]
    return answers


def _bytes_of(item: Sequence[bytes]) -> int:
    return sum(map(len, item))


def _pack_end(end: Ended) -> list[bytes]:
    message = end.message
    check_id(message.id)
    about = about_of(end.about) if 0 < len(end.about) <= ABOUT_BYTES else b""
    kind, contents = CANCELLED, about
    if end.state is State.DEAD:
        kind, contents = DEAD, b""
    elif end.state is State.COMPLETED:
        has_result = end.result is not None and end.result_ttl > 0.0
        kind = (COMPLETE if has_result else COMPLETE_EMPTY) + (2 if about else 0)
        contents = about + (end.result or b"" if has_result else b"")
    if len(contents) > BODY_LIMIT:
        raise DriverError(
            f"A result must have at most {BODY_LIMIT} bytes on Redis, got {len(contents)}."
        )
    numbers = _END.pack(
        kind,
        end.result_ttl,
        marked_for(end.result_ttl),
        whole_micros(end.enqueued_at),
        min(end.attempts, MOST_32),
        min(end.lost, MOST_32),
    )
    if end.reason is None or end.state is not State.DEAD:
        return [message.id, numbers, contents]
    failure = failure_of(end.reason, end.about, end.error)
    return [message.id, numbers, contents, *_stored(message), pack_blob(message), failure]


def _pack_adopted(adopted: Adopted) -> list[bytes]:
    message = adopted.message
    check_id(message.id)
    error = pack_error(adopted.error)
    past = _PAST.pack(
        whole_micros(adopted.due_at),
        whole_micros(adopted.enqueued_at),
        min(adopted.attempt, MOST_32),
        min(adopted.lost, MOST_32),
        marked_for(message.result_ttl),
        error is not None,
    )
    return [message.id, past, *_stored(message), error or b"", pack_blob(message)]


def _stored(message: Message) -> tuple[bytes, bytes, bytes]:
    """Return the numbers of a message, its queue and its unique key, as scripts take them."""
    key = b"" if message.unique is None else text_bytes(message.unique.key)
    return pack_numbers(message), text_bytes(message.queue), key
