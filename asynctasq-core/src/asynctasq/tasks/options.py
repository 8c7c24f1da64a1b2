"""Options of tasks and of single dispatches: their names, their limits, and their sum."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from asynctasq.message import PRIORITY_DEFAULT, Unique
from asynctasq.records import record
from asynctasq.retry import OnMissing, RetryStrategy, RunPolicy
from asynctasq.tasks.hints import option_hint
from asynctasq.tasks.option_values import (
    CHECKS,
)
from asynctasq.tasks.option_values import (
    Duration as Duration,
)
from asynctasq.tasks.option_values import (
    check_queue_name as check_queue_name,
)
from asynctasq.tasks.option_values import (
    check_task_name as check_task_name,
)

if TYPE_CHECKING:
    from asynctasq.config import Settings

_SHOWN = 200
"""Most characters of a wrong value in an error."""


class TaskOptions(TypedDict, total=False):
    """Options of a task for all of its dispatches. Durations are seconds or `timedelta`s."""

    queue: str
    """Queue that the task is dispatched to."""
    max_attempts: int
    """Most runs, the first one included; 0 and 1 both mean no retry."""
    retry_delay: Duration
    """Delay before the first retry."""
    retry_strategy: RetryStrategy | str
    """`fixed`, or `exponential`, which uses the next two options."""
    retry_factor: float
    """Factor by which the delay grows with each retry."""
    retry_cap: Duration
    """Longest delay."""
    retry_jitter: float
    """Share of the delay by which it varies at random, 0 to 1."""
    timeout: Duration | None
    """Longest time of one attempt; None for no limit."""
    priority: int
    """Priority, 0 to 9; 9 runs first."""
    expires: Duration | None
    """Time after it was first due within which the task must start."""
    result_ttl: Duration
    """Time for which the outcome is kept."""
    max_lost: int
    """Lost leases after which the task still runs again; 0 for work that must not run twice."""
    on_missing: OnMissing | str
    """Action if a model among the arguments was deleted: `retry`, `fail`, `skip` (complete the task
    without running it) or `none` (pass None instead of the model)."""


Relations = Sequence[str] | Mapping[str, Sequence[str]]


class DefinitionOptions(TaskOptions, total=False):
    """Options of a task that can only be set at its definition."""

    relations: Relations
    """Relations that are loaded together with models among the arguments: `["lines", "customer.address"]`
    for all models that have them, or by parameter, `{"order": ["lines"]}`."""


class DispatchOptions(TaskOptions, total=False):
    """Options of a single dispatch: those of a task, and more."""

    delay: Duration
    """Time until the task is due."""
    eta: datetime | float
    """Moment at which the task is due: an aware datetime, or seconds since the Unix epoch."""
    unique: Unique | str
    """Key that one message at a time may hold; a plain string is held until the message is settled."""
    id: str
    """UUID that the caller chooses; the enqueue of a known id changes nothing."""
    after: Collection[str]
    """IDs or handles of messages that must end first. No built-in driver supports this yet."""
    headers: Mapping[str, str]
    """Strings that are sent with the task, which reads them as `current_task().headers`."""


def check_options(options: Mapping[str, object], *, allowed: type, where: str) -> dict[str, object]:
    """Check names and values, and return the options with durations as seconds.

    Args:
        options: the options that the user gave.
        allowed: the TypedDict that lists the names.
        where: whose options these are, for errors.

    Raises:
        TypeError: an option is unknown (the error names a similar or equivalent one) or of the
            wrong type.
        ValueError: a value is out of range.
    """
    names = allowed.__annotations__
    checked: dict[str, object] = {}
    for name, value in options.items():
        check = CHECKS.get(name)
        if name not in names or check is None:
            raise TypeError(f"{where} got an unknown option {name!r}. {_hint(name, names)}")
        try:
            checked[name] = check(value)
        except (TypeError, ValueError) as error:
            problem, _, remedy = str(error).partition(". ")
            advice = f" {remedy}." if remedy else ""
            raise type(error)(f"{where}: {name} {problem}, got {_shown(value)}.{advice}") from None
    return checked


def _hint(name: str, names: Mapping[str, object]) -> str:
    known = option_hint(name)
    if known is not None:
        match = re.match(r"Use `(\w+)", known)
        meant = match[1] if match else ""
        if meant in names or not _is_of_dispatch(meant):
            return known
        name = meant
    if _is_of_dispatch(name):
        what = "It" if known is None else f"`{name}`"
        return f"{what} is an option of a single dispatch: call `.options({name}=...)` before `.dispatch()`."
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Options are {', '.join(sorted(names))}."


def _is_of_dispatch(name: str) -> bool:
    return name in CHECKS and name not in DEFINITION_OPTION_NAMES


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  for example of an integer with too many digits
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def relations_of(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return the relations that options name, each once."""
    relations = cast("Relations", options.get("relations", ()))
    named = relations.values() if isinstance(relations, Mapping) else (relations,)
    return tuple(dict.fromkeys(path for paths in named for path in paths))


TASK_OPTION_NAMES: frozenset[str] = frozenset(TaskOptions.__annotations__)
DEFINITION_OPTION_NAMES: frozenset[str] = frozenset(DefinitionOptions.__annotations__)


@record
class ResolvedOptions:
    """The options of a dispatch after all levels were combined."""

    queue: str = "default"
    max_attempts: int = 3
    priority: int = PRIORITY_DEFAULT
    expires: float | None = None
    result_ttl: float = 3600.0
    max_lost: int = 3
    policy: RunPolicy = RunPolicy()


def default_options(settings: "Settings") -> ResolvedOptions:
    """Return the options of a task that sets none."""
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
    """Combine the defaults with levels of given options; later levels take precedence.

    A key counts even if its value is None: `timeout=None` overrides a default timeout.
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
