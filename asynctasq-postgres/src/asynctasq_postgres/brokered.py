"""Ends, flags, marks and notes of messages that a broker holds."""

from collections.abc import Sequence
from typing import Any

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.marks import (
    FACT_OF_NOTE,
    check_adopted,
    check_ends,
    check_notes,
    mark_of,
    marked_for,
)
from asynctasq.driverkit.packing import pack_error
from asynctasq.driverkit.sql import check_version, pack_row, rank
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.errors import DriverError
from asynctasq.message import Message, State, UniqueUntil
from asynctasq_postgres.enqueueing import UNTIL, VALUE_LIMIT, hashed
from asynctasq_postgres.inspection import joined
from asynctasq_postgres.opened import Opened
from asynctasq_postgres.settling import cancel_answers, cancel_parameters

VERSION = 2
"""The version of the tables that have a place for these."""
WAITS, HAS_ENDED = 1, 2
"""Places of messages as the function `facts` returns them."""
_KINDS = {State.DEAD: 6, State.COMPLETED: 7, State.CANCELLED: 8}
_COUNT_LIMIT = (1 << 31) - 1


async def finish(opened: Opened, ends: Sequence[Ended]) -> list[bool]:
    """Keep the ends of messages.

    Raises:
        DriverError: an end is invalid or too large; nothing is kept.
    """
    check_ends(ends)
    _check_version(opened)
    first = _first_of_each([end.message for end in ends])
    sent = [ends[place] for place in first]
    if not sent:
        return []
    columns = zip(*map(_end_columns, sent), strict=True)
    return await _send(opened, "finish", [end.message for end in ends], first, columns)


async def adopt(opened: Opened, records: Sequence[Adopted]) -> list[bool]:
    """Enqueue messages with their past.

    Raises:
        DriverError: a number is not finite, or a message is too large; nothing is enqueued.
    """
    check_adopted(records)
    _check_version(opened)
    first = _first_of_each([each.message for each in records])
    sent = [records[place] for place in first]
    if not sent:
        return []
    columns = zip(*map(_adopted_columns, sent), strict=True)
    answers = await _send(opened, "adopt", [each.message for each in records], first, columns)
    opened.doorbell.ring({each.message.queue: None for each in sent})
    return answers


async def _send(
    opened: Opened, call: str, messages: Sequence[Message], first: Sequence[int], columns: Any
) -> list[bool]:
    """Call a function about each message once; return the answers in order."""
    server = opened.server
    ids = [messages[place].id for place in first]
    [(kept, heard)] = await server.rows(
        call, server.settings.namespace, joined(ids), *map(list, columns), server.shift
    )
    done = {first[number - 1] for number in kept}
    if heard:
        opened.doorbell.tell([messages[place].id for place in done])
    return [place in done for place in range(len(messages))]


async def flag(opened: Opened, ids: Sequence[bytes], ttl: float) -> list[CancelOutcome]:
    """Cancel messages, and flag those that are unknown."""
    _check_version(opened)
    if not ids:
        return []
    space, named, shift = cancel_parameters(opened.server.context, ids)
    [(answers, heard)] = await opened.server.rows("flag", space, named, micros(ttl), shift)
    if heard:
        opened.doorbell.tell(ids)
    return cancel_answers(ids, answers)


async def marks(opened: Opened, ids: Sequence[bytes]) -> list[Mark]:
    """Return the marks of messages."""
    _check_version(opened)
    server = opened.server
    found = [Mark.NONE] * len(ids)
    if ids:
        rows = await server.rows("facts", server.settings.namespace, joined(ids), server.shift)
        for number, place, facts in rows:
            found[number - 1] = mark_of(
                facts or (), waits=place == WAITS, has_ended=place == HAS_ENDED
            )
    return found


async def note(opened: Opened, notes: Sequence[Note]) -> None:
    """Keep notes about messages."""
    check_notes(notes)
    _check_version(opened)
    server = opened.server
    latest = {(each.id, FACT_OF_NOTE[each.kind].value): each for each in notes}
    if latest:
        await server.rows(
            "note",
            server.settings.namespace,
            joined([message_id for message_id, _ in latest]),
            [fact for _, fact in latest],
            [each.value for each in latest.values()],
            [micros(each.ttl) for each in latest.values()],
            server.shift,
        )


async def with_noted(
    opened: Opened, ids: Sequence[bytes], found: list[bytes | None]
) -> list[bytes | None]:
    """Return progress with that of messages that a broker holds."""
    server = opened.server
    if opened.version < VERSION or None not in found:
        return found
    rows = await server.rows("noted", server.settings.namespace, joined(ids), server.shift)
    noted: dict[int, bytes] = {row[0] - 1: row[1] for row in rows}
    return [noted.get(place) if one is None else one for place, one in enumerate(found)]


def _check_version(opened: Opened) -> None:
    place = f"The PostgreSQL at {opened.server.place}"
    check_version(place, opened.version, VERSION, purpose="be a state store")


def _first_of_each(messages: Sequence[Message]) -> list[int]:
    """Return the places of messages without those whose ID came before."""
    found: dict[bytes, int] = {}
    for place, message in enumerate(messages):
        found.setdefault(message.id, place)
    return list(found.values())


def _end_columns(end: Ended) -> tuple[Any, ...]:
    is_completed, is_dead = end.state is State.COMPLETED, end.state is State.DEAD
    result = end.result if is_completed and end.result_ttl > 0.0 else None
    _check_size(result, "A result")
    return (
        _KINDS[end.state],
        micros(kept_for(end.result_ttl)),
        micros(marked_for(end.result_ttl)),
        result,
        end.about or None,
        micros(end.enqueued_at),
        min(end.attempts, _COUNT_LIMIT),
        min(end.lost, _COUNT_LIMIT),
        end.reason.value if is_dead and end.reason is not None else None,
        pack_error(end.error) if is_dead else None,
        *_message_columns(end.message, is_whole=is_dead),
    )


def _adopted_columns(adopted: Adopted) -> tuple[Any, ...]:
    return (
        micros(adopted.due_at),
        micros(adopted.enqueued_at),
        min(adopted.attempt, _COUNT_LIMIT),
        min(adopted.lost, _COUNT_LIMIT),
        pack_error(adopted.error),
        micros(marked_for(adopted.message.result_ttl)),
        *_message_columns(adopted.message, is_whole=True),
    )


def _message_columns(message: Message, *, is_whole: bool) -> tuple[Any, ...]:
    """Return the columns of a message; those of a message that is not kept are empty."""
    profile, payload = pack_row(message) if is_whole else (None, None)
    _check_size(payload, "A message")
    unique = message.unique
    return (
        message.queue,
        rank(message.priority),
        None if message.expires is None else micros(message.expires),
        micros(message.result_ttl),
        min(max(message.max_lost, -1), _COUNT_LIMIT),
        None if unique is None else hashed(unique),
        None if unique is None else UNTIL[UniqueUntil(unique.until)],
        profile,
        payload,
    )


def _check_size(value: bytes | None, what: str) -> None:
    if len(value or b"") > VALUE_LIMIT:
        raise DriverError(
            f"{what} must have at most {VALUE_LIMIT} bytes, got {len(value or b'')}. Store large data "
            f"elsewhere and pass a reference to it."
        )
