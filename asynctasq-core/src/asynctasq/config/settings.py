"""The settings of core: names, types, defaults, bounds and meanings.

The texts here are shown to users: in errors, in `docs/settings.md` and in the file
that `asynctasq publish` writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from enum import StrEnum
from typing import Any, Protocol, get_type_hints

from asynctasq.config.durations import duration_problems
from asynctasq.config.given import GivenSetting, given_setting
from asynctasq.config.problems import all_in_one
from asynctasq.config.rules import FUNCTION_PATH, PLUGIN_NAME, SERVED_QUEUE, Rule
from asynctasq.config.sources import RawValue
from asynctasq.config.urls import mask_url
from asynctasq.message import QUEUE_NAME
from asynctasq.records import record
from asynctasq.retry import RetryStrategy

SHORTEST_LEASE_SECONDS = 0.1
"""Shortest lease: a shorter one would end before its worker can renew it."""
SECRET_NAMES = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*secret*",
    "*token*",
    "*api_key*",
    "*apikey*",
    "*private_key*",
    "*credential*",
    "*authorization*",
    "*card_number*",
    "cvv",
    "cvc",
)


BYTES_LIMIT = 2**53
"""Largest number of bytes of memory that a setting may give; larger ones are mistakes."""


class EventLoop(StrEnum):
    """Implementations of the event loop."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


def _rule(description: str, **limits: Any) -> Mapping[str, Rule]:
    return {"rule": Rule(description, **limits)}


class Sections(Protocol):
    """The settings of plugins, made when they are first needed; see `sections.PluginSections`."""

    hidden: list[str]
    """Descriptions of variables that the arguments hide."""

    def plugin(self, name: str) -> object:
        """Return the settings of the plugin `name`: an instance of its settings class, or a dict."""
        ...

    def given(self) -> list[GivenSetting]:
        """Return the settings of the plugins that were read so far."""
        ...


@record
class Settings:
    """All settings of one application. Immutable; equal if all values are equal."""

    driver: object = field(
        default="sqlite",
        compare=False,
        repr=False,
        metadata=_rule(
            "The store: a plugin's name, a URL, or (in code) a driver instance.",
            type="text or a driver instance",
        ),
    )
    state: object = field(
        default=None,
        hash=False,
        repr=False,
        metadata=_rule(
            "A full store beside a queue such as SQS or RabbitMQ, for what the queue cannot keep: a plugin's "
            "name, a URL, or (in code) a driver instance; none: the queue alone.",
            type="text, a driver instance or none",
        ),
    )
    outbox: object = field(
        default=None,
        hash=False,
        repr=False,
        metadata=_rule(
            "The database of your application, for dispatches in its transactions to another store: a URL, "
            "a plugin's name, or (in code) an instance of an SQL driver; none: no outbox.",
            type="text, a driver instance or none",
        ),
    )
    serializer: str = field(
        default="msgpack",
        metadata=_rule(
            "The serializer that encodes arguments and results: a plugin's name, or (in code) an "
            "instance of the application's own.",
            pattern=PLUGIN_NAME,
        ),
    )
    disable_plugins: tuple[str, ...] = field(
        default=(),
        metadata=_rule(
            "Plugins to disable: by name, `kind:name`, `kind:name:distribution` or distribution."
        ),
    )
    imports: tuple[str, ...] = field(
        default=(), metadata=_rule("Modules that a worker imports first, to register their tasks.")
    )
    import_tasks: bool = field(
        default=True,
        metadata=_rule(
            "Whether a message may make a worker import the module of its task or of a class in its "
            "arguments: below the packages of `--app`, `imports` and the registered tasks; without `--app` "
            "and `imports`, any Python file under the current folder."
        ),
    )
    queues: tuple[str, ...] = field(
        default=(),
        metadata=_rule(
            "Queues that a worker serves, in strict order, each with a limit of tasks at once if it "
            "has one (`emails:5`); if empty, the queues of the registered tasks and `default`.",
            pattern=SERVED_QUEUE,
        ),
    )
    concurrency: int = field(
        default=100, metadata=_rule("Tasks that one worker runs at a time.", at_least=1)
    )
    lease: float | None = field(
        default=None,
        metadata=_rule(
            "Lease duration: seconds until another worker picks up the tasks of a dead worker; none: "
            "the default of the driver, which is 30 for most drivers.",
            at_least=SHORTEST_LEASE_SECONDS,
        ),
    )
    heartbeat_interval: float | None = field(
        default=None,
        metadata=_rule(
            "Lease renewal interval, in seconds: at most half of `lease`; none: a third of it.",
            above=0,
        ),
    )
    grace_period: float = field(
        default=30.0,
        metadata=_rule("Seconds to wait for running tasks when a worker stops.", at_least=0),
    )
    stall_limit: float | None = field(
        default=None,
        metadata=_rule(
            "Seconds for which a worker's event loop may be blocked before its leases end; at least "
            "`lease`; none: 600, or `lease` if that is longer.",
            above=0,
        ),
    )
    loop: EventLoop = field(
        default=EventLoop.UVLOOP,
        metadata=_rule(
            "Event loop of workers, their child processes, and `asynctasq.run`: `uvloop`, where it is "
            "installed, or `asyncio`, for libraries that do not work with uvloop."
        ),
    )
    log_tracebacks: bool = field(
        default=True,
        metadata=_rule("Whether workers log the tracebacks of failed tasks."),
    )
    mismatch_patience: float = field(
        default=600.0,
        metadata=_rule(
            "Seconds for which messages with an unknown task, or with arguments that do not fit, are "
            "released for a worker of another release; afterwards they are dead letters.",
            at_least=0,
        ),
    )
    max_message_bytes: int = field(
        default=4 * 2**20,
        metadata=_rule("The largest encoded message that may be dispatched.", at_least=1),
    )
    show_arguments: bool = field(
        default=False,
        metadata=_rule(
            "Whether commands for operators show arguments, results and progress by default."
        ),
    )
    redact_arguments: tuple[str, ...] = field(
        default=SECRET_NAMES,
        metadata=_rule(
            "Patterns of the names of arguments, or of parts of them, whose values those commands never "
            "show; `*` for all."
        ),
    )
    process_pool_size: int | None = field(
        default=None,
        metadata=_rule(
            "Number of child processes of a worker that has process tasks; none: one per processor.",
            at_least=1,
        ),
    )
    process_pool_max_tasks_per_child: int | None = field(
        default=None,
        metadata=_rule(
            "Number of runs after which a child process is replaced; none: never.", at_least=1
        ),
    )
    process_pool_max_memory: int | None = field(
        default=None,
        metadata=_rule(
            "Bytes of resident memory above which a child process is replaced, once its task has "
            "ended; none: never.",
            at_least=1,
            limit=BYTES_LIMIT,
        ),
    )
    process_initializer: str | None = field(
        default=None,
        metadata=_rule(
            "`module:function`, called without arguments in each child process before its first "
            "task.",
            pattern=FUNCTION_PATH,
        ),
    )
    default_queue: str = field(
        default="default",
        metadata=_rule("Queue of tasks that do not name one.", pattern=QUEUE_NAME),
    )
    default_max_attempts: int = field(
        default=3, metadata=_rule("Maximum number of runs; 0 and 1 both mean no retry.", at_least=0)
    )
    default_retry_delay: float = field(
        default=60.0, metadata=_rule("Seconds before the first retry.", at_least=0)
    )
    default_retry_strategy: RetryStrategy = field(
        default=RetryStrategy.FIXED,
        metadata=_rule("Strategy by which the delay grows from retry to retry."),
    )
    default_retry_factor: float = field(
        default=2.0,
        metadata=_rule("Factor by which an exponential delay grows with each retry.", at_least=1),
    )
    default_retry_cap: float = field(
        default=3600.0,
        metadata=_rule("Maximum exponential delay, in seconds.", at_least=0),
    )
    default_retry_jitter: float = field(
        default=0.1,
        metadata=_rule(
            "Random variation of an exponential delay, as a share of it.", at_least=0, at_most=1
        ),
    )
    default_timeout: float | None = field(
        default=None, metadata=_rule("Seconds that one run may take; none: no limit.", above=0)
    )
    default_priority: int = field(
        default=5, metadata=_rule("Order within a queue: 9 comes first.", at_least=0, at_most=9)
    )
    default_result_ttl: float = field(
        default=3600.0, metadata=_rule("Seconds for which a result is kept.", at_least=0)
    )
    default_max_lost: int = field(
        default=3,
        metadata=_rule(
            "Number of lost leases, for example of crashed workers, after which a task still runs "
            "again; 0 for work that must not run twice.",
            at_least=0,
        ),
    )
    driver_name: str = "sqlite"
    """Name of the driver's plugin, or of its class if an instance was given."""
    driver_instance: object | None = field(default=None, hash=False, repr=False)
    serializer_instance: object | None = field(default=None, hash=False, repr=False)
    """The serializer if an instance was given; `serializer` is its content type."""
    sections: Sections | None = field(default=None, hash=False, repr=False)
    unchecked_durations: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Durations of leases that are checked when the driver's default lease is known, with their places."""

    sources: Mapping[str, RawValue] = field(default_factory=dict, compare=False, repr=False)
    """The values of core as they were given, by name, with their sources."""

    @property
    def driver_text(self) -> str:
        """The driver as it was given, with passwords masked."""
        return mask_url(self.driver) if isinstance(self.driver, str) else self.driver_name

    @property
    def hidden(self) -> tuple[str, ...]:
        """Descriptions of values of the environment and `.env` that arguments hide."""
        return () if self.sections is None else tuple(self.sections.hidden)

    def given(self) -> list[GivenSetting]:
        """Return the settings that are not left at their defaults, with their sources: core first, then plugins."""
        own = [given_setting(name, value) for name, value in sorted(self.sources.items())]
        return own if self.sections is None else [*own, *self.sections.given()]

    def check_durations(self, default_lease: float) -> None:
        """Check the durations that must fit the driver's default lease, if no lease is set.

        Raises:
            ConfigurationError: a duration does not fit; all problems are in one error.
        """
        problems = [
            f"{self.unchecked_durations[name]}: {problem}"
            for name, problem in duration_problems(
                self.heartbeat_interval, self.stall_limit, default_lease
            )
            if name in self.unchecked_durations
        ]
        if problems:
            raise all_in_one(problems)

    def plugin(self, name: str) -> object:
        """Return the settings of a plugin: an instance of its settings class, or a dict if it has none.

        Raises:
            ConfigurationError: a setting of this plugin in the arguments, the environment or `.env` is
                invalid.
        """
        return {} if self.sections is None else self.sections.plugin(name)


CORE_FIELDS: Mapping[str, Field[Any]] = {
    each.name: each for each in fields(Settings) if "rule" in each.metadata
}
CORE_TYPES: Mapping[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings).items() if name in CORE_FIELDS
}

SettingsClass = Callable[[str], type | None]
"""Returns the settings class of the plugin of that name; None if it has none."""


def rule_of(name: str) -> Rule:
    """Return the rule of a core setting."""
    rule: Rule = CORE_FIELDS[name].metadata["rule"]
    return rule


def default_of(each: Field[Any]) -> Any:
    """Return the default of a field of a settings class; `dataclasses.MISSING` if it has none."""
    return each.default if each.default_factory is MISSING else each.default_factory()
