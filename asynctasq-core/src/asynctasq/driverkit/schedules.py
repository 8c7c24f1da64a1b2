"""Rules of schedules that drivers share: which definitions are valid, and when a schedule can be claimed."""

from collections.abc import Iterable, Sequence
from math import inf

from asynctasq.contracts.capabilities.schedules import (
    DEFINITION_BYTES,
    FINISHED_KEPT_FOR,
    SCHEDULE_ID_LENGTH,
    Firing,
    Schedule,
)
from asynctasq.driverkit.numbers import check_numbers, is_finite
from asynctasq.errors import DriverError


def check_schedules(schedules: Sequence[Schedule]) -> None:
    """Refuse schedules that no store can keep.

    Raises:
        DriverError: an id is empty or too long, a definition is too large, or a time is not finite.
    """
    for each in schedules:
        if not 1 <= len(each.id) <= SCHEDULE_ID_LENGTH:
            raise DriverError(
                f"The id of a schedule must have 1 to {SCHEDULE_ID_LENGTH} characters, got {len(each.id)}."
            )
        if not 1 <= len(each.definition) <= DEFINITION_BYTES:
            raise DriverError(
                f"The definition of schedule {each.id!r} must have 1 to {DEFINITION_BYTES} bytes, got "
                f"{len(each.definition)}. Store large arguments elsewhere and pass a reference to them."
            )
        _check_time(each.id, "next_at", each.next_at)


def check_firings(firings: Sequence[Firing]) -> None:
    """Refuse firings with messages that no store can keep.

    Raises:
        DriverError: a time is not finite, or a number of a message is not.
    """
    for firing in firings:
        _check_time(firing.id, "planned", firing.planned)
        _check_time(firing.id, "next_at", firing.next_at)
        for message in firing.messages:
            check_numbers(message)


def claimable_at(next_at: float | None, *, fired_at: float) -> float:
    """Return when a schedule that is not paused is due, or, after its last time, is deleted.

    A store needs one index for both. A claim deletes finished schedules that it finds there.
    """
    return fired_at + FINISHED_KEPT_FOR if next_at is None else next_at


def by_due_time(schedules: Iterable[Schedule]) -> list[Schedule]:
    """Return the schedules of a claim, those that have been due for longest first.

    Claims that have ended together share the time by which a store finds them.
    """
    return sorted(schedules, key=lambda each: inf if each.next_at is None else each.next_at)


def _check_time(schedule: str, name: str, value: float | None) -> None:
    if value is not None and not is_finite(value):
        raise DriverError(
            f"{name} of schedule {schedule!r} must be a finite number, got {value!r}. Pass seconds since "
            f"the Unix epoch."
        )
