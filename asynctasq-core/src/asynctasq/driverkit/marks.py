"""Facts that a state store keeps about messages that a broker holds, and the marks that follow from them."""

from collections.abc import Collection, Sequence
from enum import IntEnum

from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note, NoteKind
from asynctasq.driverkit.numbers import check_numbers, is_finite
from asynctasq.errors import DriverError
from asynctasq.message import State

MARK_TTL_LEAST = 3600.0
"""Seconds for which each end is marked at least: a copy of the message may wait behind a backlog."""
_ENDS = frozenset({State.COMPLETED, State.CANCELLED, State.DEAD})


class Fact(IntEnum):
    """Kinds of facts, as numbers that stores keep."""

    FLAGGED = 1
    ENDED = 2
    MOVED = 3
    RUNNING = 4
    PROGRESS = 5


FACT_OF_NOTE = {NoteKind.PROGRESS: Fact.PROGRESS, NoteKind.RUNNING: Fact.RUNNING}
"""The fact that each kind of note is kept as."""


def marked_for(result_ttl: float) -> float:
    """Return for how many seconds the end of a message is marked."""
    return max(result_ttl, MARK_TTL_LEAST)


def mark_of(facts: Collection[int], *, waits: bool = False, has_ended: bool = False) -> Mark:
    """Return the mark of a message.

    Args:
        facts: the current `Fact`s about it.
        waits: the message waits or runs in the state store.
        has_ended: the state store has its outcome, or its dead letter.
    """
    if waits:
        return Mark.MOVED
    if has_ended or Fact.ENDED in facts:
        return Mark.ENDED
    for fact, mark in (
        (Fact.MOVED, Mark.MOVED),
        (Fact.FLAGGED, Mark.FLAGGED),
        (Fact.RUNNING, Mark.RUNNING),
    ):
        if fact in facts:
            return mark
    return Mark.NONE


def check_ends(ends: Sequence[Ended]) -> None:
    """Refuse ends that no store can keep.

    Raises:
        DriverError: a number is not finite, the state is not that of an end, or a dead letter has no reason.
    """
    for end in ends:
        check_numbers(end.message)
        _check_finite("result_ttl", end.result_ttl)
        _check_finite("enqueued_at", end.enqueued_at)
        if end.state not in _ENDS:
            raise DriverError(
                f"The state of an end must be COMPLETED, CANCELLED or DEAD, got {end.state.name}."
            )
        if end.state is State.DEAD and end.reason is None:
            raise DriverError("The end of a dead message must have a reason, got None.")


def check_adopted(records: Sequence[Adopted]) -> None:
    """Refuse messages with numbers that are not finite.

    Raises:
        DriverError: the message names the field.
    """
    for each in records:
        check_numbers(each.message)
        _check_finite("due_at", each.due_at)
        _check_finite("enqueued_at", each.enqueued_at)


def check_notes(notes: Sequence[Note]) -> None:
    """Refuse notes whose time is not finite.

    Raises:
        DriverError: the message names the field.
    """
    for note in notes:
        _check_finite("ttl", note.ttl)


def _check_finite(name: str, value: float) -> None:
    if not is_finite(value):
        raise DriverError(f"{name} must be a finite number, got {value!r}. Pass seconds.")
