"""The options of a worker: names, types, bounds, defaults and help texts, in one place.

To add an option, add a field to `WorkerOptions`, and its type to `MoreOptions`. It is then an option of
`asynctasq worker` and a keyword of `Worker`, and every part of a worker can read it:

    tick: float | None = option("Seconds between two ticks.", Rule("", above=0))

With `setting=True`, the setting of the same name gives the value and the bounds, and has the environment
variable; add it to `config.settings` as well.
"""

import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields
from difflib import get_close_matches
from typing import Any, TypedDict, get_type_hints

from asynctasq.config.durations import duration_problems, heartbeat_of, stall_of
from asynctasq.config.rules import Rule
from asynctasq.config.settings import BYTES_LIMIT, Settings, rule_of
from asynctasq.errors import ConfigurationError
from asynctasq.records import record
from asynctasq.worker.slots import parse_queues

DEFAULT_HEALTH_HOST = "127.0.0.1"
"""Only this machine by default, as the endpoint has no authentication."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", re.IGNORECASE)
_METADATA = "option"
_NUMBERS = (int, float)


def parse_size(text: str) -> int:
    """Return the number of bytes that a text such as `512M` or `2G` means.

    Raises:
        ConfigurationError: the text is not a size.
    """
    parts = _SIZE.fullmatch(text)
    size = int(float(parts[1]) * 1024 ** " KMG".index(parts[2].upper() or " ")) if parts else 0
    if size <= 0:
        raise ConfigurationError(
            f"A size must be a number of bytes, or a text such as 512M or 2G, got {text!r}."
        )
    return size


def split_queues(texts: Iterable[str]) -> list[str]:
    """Return the queues of texts that separate them with commas.

    Raises:
        ConfigurationError: a queue is not valid.
    """
    queues = [name.strip() for text in texts for name in text.split(",")]
    parse_queues(queues)
    return queues


@record
class Option:
    """Description of one option, from which `asynctasq worker` makes its own."""

    name: str
    type: Any
    """The annotation of the field, without None."""
    help: str
    """Text for `asynctasq worker --help`; empty if the option is not on the command line."""
    rule: Rule
    """The values that are allowed."""
    default: Any
    short: str
    """One-letter option."""
    metavar: str | None
    parse: Callable[[Any], Any] | None
    """Makes the value of the text of the command line."""
    repeats: bool
    """True if the option may be given several times."""
    setting: bool
    """True if the setting of the same name gives the value of an option that is not given."""

    @property
    def flag(self) -> str:
        """The long option on the command line."""
        return f"--{self.name.replace('_', '-')}"


def option(
    help: str,  # noqa: A002  named after the field of click
    rule: Rule | None = None,
    *,
    default: Any = None,
    short: str = "",
    metavar: str | None = None,
    parse: Callable[[Any], Any] | None = None,
    repeats: bool = False,
    setting: bool = False,
) -> Any:
    """Return a field of `WorkerOptions`; the arguments are the fields of `Option`."""
    description = {
        "help": help,
        "rule": rule,
        "default": default,
        "short": short,
        "metavar": metavar,
        "parse": parse,
        "repeats": repeats,
        "setting": setting,
    }
    return field(default=default, metadata={_METADATA: description})


_COUNT = Rule("", at_least=1)
_BYTES = Rule("", at_least=1, limit=BYTES_LIMIT)


@record
class WorkerOptions:
    """The options of one worker, complete and valid. Durations are seconds."""

    queues: Mapping[str, int | None] = option(
        "Queues in strict order, each with an optional limit of tasks at once; may be repeated.  "
        "[default: those of the tasks]",
        short="-q",
        metavar="NAME[:LIMIT],...",
        parse=split_queues,
        repeats=True,
        setting=True,
    )
    """Queues in strict order, each with its own limit of tasks at once, or None."""
    concurrency: int = option(
        "Number of tasks to run at once.  [default: 100]", short="-c", setting=True
    )
    burst: bool = option("Exit when there is nothing more to do.", default=False)
    max_tasks: int | None = option("Exit after this number of runs.", _COUNT)
    max_memory: int | None = option(
        "Exit when the process uses more memory than this, such as 512M or 2G.",
        _BYTES,
        metavar="BYTES",
        parse=parse_size,
    )
    process_pool_size: int | None = option(
        "Number of child processes for process tasks.  [default: one per processor]",
        metavar="N",
        setting=True,
    )
    process_pool_max_tasks_per_child: int | None = option("", setting=True)
    worker_id: str = option("Worker ID, unique per store.  [default: generated]")
    grace_period: float = option(
        "Seconds to wait for running tasks on shutdown.  [default: 30]",
        metavar="SECONDS",
        setting=True,
    )
    lease: float = option(
        "Lease duration: seconds until a dead worker's tasks are picked up by another worker.  "
        "[default: of the driver, usually 30]",
        metavar="SECONDS",
        setting=True,
    )
    heartbeat_interval: float = option(
        "Lease renewal interval, in seconds.  [default: a third of the lease]",
        metavar="SECONDS",
        setting=True,
    )
    stall_limit: float = option("", setting=True)
    mismatch_patience: float = option("", setting=True)
    serializer: str | None = option(
        "Serializer for results. (Arguments carry their own serializer name.)", metavar="NAME"
    )
    health_port: int | None = option(
        "Serve /livez, /readyz, /status and /metrics over HTTP on this port.",
        Rule("", at_least=0, at_most=65535),
        metavar="PORT",
    )
    """0 for any free port."""
    health_host: str = option(
        "Address to serve them on.  [default: 127.0.0.1, this machine only]",
        default=DEFAULT_HEALTH_HOST,
        metavar="HOST",
    )

    @classmethod
    def complete(
        cls,
        given: Mapping[str, Any],
        settings: Settings,
        *,
        default_lease: float,
        queues_of_tasks: Callable[[], Sequence[str]],
    ) -> "WorkerOptions":
        """Return the options of a worker, with the settings for those that were not given.

        Args:
            given: checked values, as from `check_options`.
            settings: of the worker's app.
            default_lease: seconds of a lease if neither options nor settings give them: the driver's default.
            queues_of_tasks: gives the queues to serve if neither options nor settings name any.

        Raises:
            ConfigurationError: two values do not go together.
        """
        values = {name: getattr(settings, name) for name, each in OPTIONS.items() if each.setting}
        values |= given
        lease = default_lease if values["lease"] is None else values["lease"]
        heartbeat, stall = values["heartbeat_interval"], values["stall_limit"]
        for _, problem in duration_problems(heartbeat, stall, lease):
            raise ConfigurationError(problem)
        values["lease"] = lease
        values["heartbeat_interval"] = heartbeat_of(heartbeat, lease)
        values["stall_limit"] = stall_of(stall, lease)
        values["queues"] = parse_queues(values["queues"] or queues_of_tasks())
        return cls(**values)


class MoreOptions(TypedDict, total=False):
    """Keywords of `Worker` for options that have no parameter there."""


def _describe() -> Mapping[str, Option]:
    hints = get_type_hints(WorkerOptions)
    found: dict[str, Option] = {}
    for each in fields(WorkerOptions):
        description = dict(each.metadata[_METADATA])
        if description["rule"] is None:
            name = each.name
            description["rule"] = rule_of(name) if description["setting"] else Rule("")
        kinds = [
            kind for kind in getattr(hints[each.name], "__args__", ()) if kind is not type(None)
        ]
        is_optional = type(None) in getattr(hints[each.name], "__args__", ())
        found[each.name] = Option(
            name=each.name, type=kinds[0] if is_optional else hints[each.name], **description
        )
    return found


OPTIONS: Mapping[str, Option] = _describe()
"""The options by name, in the order of the command line."""


def check_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given, without those that are None.

    Raises:
        ConfigurationError: a value is out of range.
        TypeError: there is no such option.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        known = OPTIONS.get(name)
        if known is None:
            near = get_close_matches(name, OPTIONS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"Worker() has no option {name!r}.{hint}")
        if value is None or (name == "queues" and not value):
            continue
        if name == "queues":
            _check_queues(value)
        elif known.type in _NUMBERS:
            _check_number(known, value)
        values[name] = value
    return values


def _check_queues(value: object) -> None:
    if isinstance(value, str):  # a sequence of queues with names of one letter
        raise ConfigurationError(
            f"queues must be a list of names, got {value!r}. Pass [{value!r}]."
        )
    if not isinstance(value, Iterable):
        raise ConfigurationError(f"queues must be a list of names, got {value!r}.")
    names = list(value)
    for name in names:
        if not isinstance(name, str):
            raise ConfigurationError(f"queues must be a list of names, got {name!r} in it.")
    parse_queues(names)


def _check_number(known: Option, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (known.type is int and isinstance(value, float)):
        kind = "a whole number" if known.type is int else "a number"
        raise ConfigurationError(f"{known.name} must be {kind}, got {value!r}.")
    if not known.rule.allows(value):
        bounds = known.rule.bounds_for(value)
        raise ConfigurationError(f"{known.name} must be {bounds}, got {value!r}.")


def generated_worker_id() -> str:
    """Return an ID that no other worker has: host, process and a random part."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
