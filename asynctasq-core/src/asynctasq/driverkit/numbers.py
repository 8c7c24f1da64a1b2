"""Numbers that no store can order by: NaN and infinity, refused before anything is written."""

from collections.abc import Mapping
from dataclasses import fields
from typing import get_args

from asynctasq.errors import DriverError
from asynctasq.message import Message
from asynctasq.settlement import Complete, Settlement

_MESSAGE_FIELDS = (
    "delay", "eta", "expires", "result_ttl", "priority", "max_lost", "max_attempts",
)  # fmt: skip
_MOST = 1e18
"""Limit of a sum whose parts can all be stored."""
_SETTLEMENT_FIELDS: Mapping[type[Settlement], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.type is float)
    for kind in get_args(Settlement)
}
"""The delays and times to live of each kind of settlement."""


def is_finite(number: float) -> bool:
    """Return whether a number is neither NaN nor infinite; False for a value that is not a number.

    An integer that is too large for a float counts as infinite.
    """
    try:
        return number * 0.0 == 0.0
    except (TypeError, OverflowError):
        return False


def can_settle(settlement: Settlement) -> bool:
    """Return whether the numbers of a settlement are finite. If not, the answer is REFUSED."""
    if type(settlement) is Complete:
        return is_finite(settlement.result_ttl)
    names = _SETTLEMENT_FIELDS[type(settlement)]
    return all(is_finite(getattr(settlement, name)) for name in names)


def check_numbers(message: Message) -> None:
    """Refuse a message with a number that is not finite.

    Raises:
        DriverError: the message names the field.
    """
    try:
        total: float = message.priority + message.max_lost + message.max_attempts
        total += message.delay + message.result_ttl
        if message.eta is not None or message.expires is not None:
            total += (message.eta or 0.0) + (message.expires or 0.0)
        if message.unique is None and -_MOST < total < _MOST:
            return  # a sum is finite only if its parts are
    except (TypeError, OverflowError):
        pass
    for field in _MESSAGE_FIELDS:
        value = getattr(message, field)
        if value is not None and not _is_storable(value):
            raise _not_finite(f"{field} of the message of {message.task!r}", value)
    unique = message.unique
    if unique is not None and unique.period is not None and not _is_storable(unique.period):
        raise _not_finite(f"unique.period of the message of {message.task!r}", unique.period)


def check_lease(lease: float) -> None:
    """Refuse a duration of leases that is not finite.

    Raises:
        DriverError: it is NaN or infinite.
    """
    if not is_finite(lease):
        raise _not_finite("lease", lease)


def bounded(number: int, bound: int | None) -> int:
    """Return a count no greater than `bound` (rule 56)."""
    return number if bound is None else min(number, bound)


def next_token(token: int, now: float) -> int:
    """Return the token of the next lease of a message (rule 9).

    It is greater than `token`, and, as long as the store's clock is not set back, than the tokens of leases
    that the store has lost.

    Args:
        token: of the last lease that the store knows of; 0 if there was none.
        now: the store's time, in seconds since the Unix epoch.
    """
    micros = int(now * 1_000_000)
    return micros if micros > token else token + 1


def _is_storable(number: float) -> bool:
    """Return whether a number is finite and, if it is an integer, has 64 bits at most."""
    return is_finite(number) and (type(number) is not int or -_MOST < number < _MOST)


def _not_finite(name: str, value: object) -> DriverError:
    return DriverError(f"{name} must be a finite number, got {value!r}. Pass seconds.")
