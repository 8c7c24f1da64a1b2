"""Options of tasks and of single dispatches: their names, their limits, and what they add up to."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict, cast

from asynctasq.message import (
    PRIORITY_DEFAULT,
    PRIORITY_HIGHEST,
    PRIORITY_LOWEST,
    QUEUE_NAME,
    Unique,
    UniqueUntil,
)
from asynctasq.records import record
from asynctasq.retry import OnMissing, RetryStrategy, RunPolicy

if TYPE_CHECKING:
    from asynctasq.config import Settings

SECONDS_LIMIT = 1e10
"""Some 300 years: what is longer is a mistake, and no store could add it to its time."""
INTEGER_LIMIT = 2**31 - 1
RELATION_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class TaskOptions(TypedDict, total=False):
    """What a task may say of all its dispatches. Durations are seconds."""

    queue: str
    """To which it is dispatched."""
    max_attempts: int
    """Runs in all; 0 and 1 both mean no retry."""
    retry_delay: float
    """Before the first retry."""
    retry_strategy: RetryStrategy | str
    """`fixed`, or `exponential` with the three that follow."""
    retry_factor: float
    """By which the delay grows with each retry."""
    retry_cap: float
    """No delay is longer."""
    retry_jitter: float
    """Share of the delay by which it varies at random, 0 to 1."""
    timeout: float | None
    """That one attempt may take; None for no limit."""
    priority: int
    """0 to 9; 9 is first."""
    expires: float | None
    """After it was first due, within which it must start."""
    result_ttl: float
    """For which the outcome is kept."""
    max_lost: int
    """Lost leases that are forgiven; 0 for work that must not run twice."""
    on_missing: OnMissing | str
    """When a model among the arguments has no row any more: `retry`, `fail`, `skip` (the task is complete
    without being run) or `none` (None stands where the model stood)."""


Relations = Sequence[str] | Mapping[str, Sequence[str]]


class DefinitionOptions(TaskOptions, total=False):
    """What a task may say at its definition, and only there."""

    relations: Relations
    """Relations of models among the arguments that are loaded along: `["lines", "customer.address"]`
    for those models that have them, or by parameter, `{"order": ["lines"]}`."""


class DispatchOptions(TaskOptions, total=False):
    """What a single dispatch may say beyond that."""

    delay: float
    """Before it is due."""
    eta: datetime | float
    """When it is due: an aware datetime, or seconds since the Unix epoch."""
    unique: Unique | str
    """A key that one message at a time may hold; a plain string holds it until settled."""
    id: str
    """A UUID of the caller's; an enqueue of a known id changes nothing."""
    after: Collection[str]
    """Ids or handles of the messages that must end first."""
    headers: Mapping[str, str]
    """Texts that travel with it; the task reads them as `current_task().headers`."""


def check_queue_name(name: object) -> str:
    """The name, if it may name a queue.

    Raises:
        ValueError: it is not 1 to 80 characters of `A-Z a-z 0-9 _ . -`.
    """
    if isinstance(name, str) and QUEUE_NAME.fullmatch(name):
        return name
    raise ValueError(
        f"{name!r} cannot name a queue: use 1 to 80 characters out of letters, digits, '_', '.' and '-'."
    )


def check_task_name(name: object, *, where: str) -> None:
    """Make sure that this can name a task.

    Raises:
        TypeError: it cannot.
    """
    if not (isinstance(name, str) and name):
        raise TypeError(f"{where}: name={name!r}: a text is needed.")


def check_options(options: Mapping[str, object], *, allowed: type, where: str) -> None:
    """Check names and values.

    Args:
        options: as given by the user.
        allowed: the TypedDict that lists the names.
        where: says in errors whose options these are.

    Raises:
        TypeError: an option is unknown (the nearest name is given) or of the wrong type.
        ValueError: a value is out of range.
    """
    names = allowed.__annotations__
    for name, value in options.items():
        check = _CHECKS.get(name)
        if name not in names or check is None:
            near = difflib.get_close_matches(name, names, n=1)
            hint = (
                f"Did you mean {near[0]!r}?" if near else f"Options are {', '.join(sorted(names))}."
            )
            raise TypeError(f"{where} got an unknown option {name!r}. {hint}")
        try:
            check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {name}={value!r}: {error}") from None


def _seconds(low: float, *, above: bool = False, optional: bool = False) -> "_Check":
    def check(value: object) -> None:
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError("a number is needed" + (", or None." if optional else "."))
        if not (value > low if above else value >= low) or value > SECONDS_LIMIT:
            raise ValueError(
                f"it has to be {'more than' if above else 'at least'} {low:g}, and at most "
                f"{SECONDS_LIMIT:,.0f}."
            )

    return check


def _integer(low: int, high: int = INTEGER_LIMIT) -> "_Check":
    def check(value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("an integer is needed.")
        if not low <= value <= high:
            raise ValueError(
                f"it has to be {low} {'or more' if high == INTEGER_LIMIT else f'to {high}'}."
            )

    return check


def _instance(*types: type) -> "_Check":
    def check(value: object) -> None:
        if not isinstance(value, types):
            raise TypeError(f"a {' or '.join(kind.__name__ for kind in types)} is needed.")

    return check


def _check_queue(value: object) -> None:
    check_queue_name(value)


def _choice(choices: type[StrEnum]) -> "_Check":
    def check(value: object) -> None:
        names = [choice.value for choice in choices]
        if value not in names:
            raise ValueError(f"use {' or '.join(map(repr, names))}.")

    return check


def _check_eta(value: object) -> None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("it has no time zone: pass an aware datetime.")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("an aware datetime is needed, or seconds since the Unix epoch.")
    else:
        _seconds(0.0)(value)


def _check_share(value: object) -> None:
    _seconds(0.0)(value)
    if cast("float", value) > 1.0:
        raise ValueError("it has to be a share, 0 to 1.")


def _check_unique(value: object) -> None:
    _instance(Unique, str)(value)
    unique = value if isinstance(value, Unique) else Unique(cast("str", value))
    if not unique.key:
        raise ValueError("the key is empty.")
    if (unique.until is UniqueUntil.PERIOD) != (unique.period is not None):
        raise ValueError(
            "`period` goes with `until=UniqueUntil.PERIOD`, and only with that; it is in seconds."
        )
    if unique.period is not None:
        _seconds(0.0, above=True)(unique.period)


def _check_after(value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError("a list of ids or handles is needed.")


def _check_headers(value: object) -> None:
    pairs = (
        cast("Mapping[object, object]", value).items() if isinstance(value, Mapping) else [(0, 0)]
    )
    if not all(isinstance(key, str) and isinstance(text, str) for key, text in pairs):
        raise TypeError("a mapping of strings to strings is needed.")


def _check_relations(value: object) -> None:
    named = value.values() if isinstance(value, Mapping) else (value,)
    for paths in cast("Collection[object]", named):
        if isinstance(paths, str) or not isinstance(paths, Sequence):
            raise TypeError("a list of relations is needed, or a mapping of parameters to such.")
        if not all(isinstance(path, str) and RELATION_PATH.fullmatch(path) for path in paths):
            raise ValueError("a relation is a name, or several joined by dots.")


def relations_of(options: Mapping[str, object]) -> tuple[str, ...]:
    """The relations that options name, each once."""
    relations = cast("Relations", options.get("relations", ()))
    named = relations.values() if isinstance(relations, Mapping) else (relations,)
    return tuple(dict.fromkeys(path for paths in named for path in paths))


_Check = Callable[[object], None]

_CHECKS: Mapping[str, _Check] = {
    "queue": _check_queue,
    "max_attempts": _integer(0),
    "retry_delay": _seconds(0.0),
    "retry_strategy": _choice(RetryStrategy),
    "retry_factor": _seconds(1.0),
    "retry_cap": _seconds(0.0),
    "retry_jitter": _check_share,
    "timeout": _seconds(0.0, above=True, optional=True),
    "priority": _integer(PRIORITY_LOWEST, PRIORITY_HIGHEST),
    "expires": _seconds(0.0, above=True, optional=True),
    "result_ttl": _seconds(0.0),
    "max_lost": _integer(0),
    "on_missing": _choice(OnMissing),
    "relations": _check_relations,
    "delay": _seconds(0.0),
    "eta": _check_eta,
    "unique": _check_unique,
    "id": _instance(str),
    "after": _check_after,
    "headers": _check_headers,
}

TASK_OPTION_NAMES: frozenset[str] = frozenset(TaskOptions.__annotations__)
DEFINITION_OPTION_NAMES: frozenset[str] = frozenset(DefinitionOptions.__annotations__)


@record
class ResolvedOptions:
    """What a dispatch amounts to once every level has been asked."""

    queue: str = "default"
    max_attempts: int = 3
    priority: int = PRIORITY_DEFAULT
    expires: float | None = None
    result_ttl: float = 3600.0
    max_lost: int = 3
    policy: RunPolicy = RunPolicy()


def default_options(settings: "Settings") -> ResolvedOptions:
    """What a task is dispatched with that says nothing."""
    return ResolvedOptions(
        queue=settings.default_queue,
        max_attempts=settings.default_max_attempts,
        priority=settings.default_priority,
        result_ttl=settings.default_result_ttl,
        max_lost=settings.default_max_lost,
        policy=RunPolicy(
            timeout=settings.default_timeout,
            retry_delay=settings.default_retry_delay,
            retry_strategy=settings.default_retry_strategy,
            retry_factor=settings.default_retry_factor,
            retry_cap=settings.default_retry_cap,
            retry_jitter=settings.default_retry_jitter,
        ),
    )


_POLICY_NAMES = frozenset(RunPolicy.__annotations__)
_MESSAGE_NAMES = frozenset(ResolvedOptions.__annotations__) - {"policy"}


def resolve_options(defaults: ResolvedOptions, *levels: Mapping[str, Any]) -> ResolvedOptions:
    """Lay levels of given options over the defaults, the last one on top.

    A key that is there counts, None too: `timeout=None` beats a default timeout.
    """
    given: dict[str, Any] = {}
    for level in levels:
        given.update(level)
    if not given:
        return defaults
    policy = {name: getattr(defaults.policy, name) for name in _POLICY_NAMES}
    policy.update((name, value) for name, value in given.items() if name in _POLICY_NAMES)
    policy["retry_strategy"] = RetryStrategy(policy["retry_strategy"])
    policy["on_missing"] = OnMissing(policy["on_missing"])
    fields = {name: getattr(defaults, name) for name in _MESSAGE_NAMES}
    fields.update((name, value) for name, value in given.items() if name in _MESSAGE_NAMES)
    return ResolvedOptions(policy=RunPolicy(**policy), **fields)
