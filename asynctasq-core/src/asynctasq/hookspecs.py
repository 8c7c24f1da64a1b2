"""Hook specifications: everything that a plugin can implement.

A plugin is a module (or object) whose functions carry `@hookimpl`. asynctasq finds it by its entry point;
`GROUPS` names the group of each kind. Observers receive one context, may be sync or async, and cannot
change the outcome. `wrap_execute` can.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import TYPE_CHECKING, Any

import pluggy

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.transactions import TransactionAdapter
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import AttemptResult, Executor, Wrapper
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.message import Delivery, Message
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason, ReleaseReason, SettlementKind
from asynctasq.tasks.context import CurrentTask

if TYPE_CHECKING:
    import click

PROJECT = "asynctasq"

GROUPS: Mapping[str, str] = {
    "driver": "asynctasq.drivers",
    "serializer": "asynctasq.serializers",
    "executor": "asynctasq.executors",
    "resolver": "asynctasq.resolvers",
    "transaction": "asynctasq.transactions",
    "hook": "asynctasq.hooks",
}
"""Kind of plugin to entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@record
class DispatchContext:
    """Context of `before_dispatch` and `after_dispatch`."""

    message: Message
    headers: dict[str, str]
    """Travels with the message; `before_dispatch` may add to it."""


@record
class DispatchBatch:
    """Argument of `wrap_dispatch`: the messages of one enqueue."""

    messages: Sequence[DispatchContext]
    """At least one. You may add headers to each, until your context manager has been entered."""
    in_transaction: bool = False
    """True if the messages appear at the commit of a transaction of the application."""


@record
class ExecutionContext:
    """Context of the observers around one attempt."""

    delivery: Delivery
    worker_id: str
    attempt: AttemptResult | None = None
    """The outcome of the attempt, from `after_execute` on."""
    error: ErrorInfo | None = None
    """The error in `on_retry`, `on_failure` and `on_dead`."""
    reason: Reason | None = None
    """The reason in `on_dead`."""
    retry_delay: float | None = None
    """The delay in `on_retry` and `on_release`, in seconds."""
    released: ReleaseReason | None = None
    """The reason in `on_release`."""
    started_at: float | None = None
    """When the attempt started, in seconds since the Unix epoch; None if it was not started."""
    duration: float | None = None
    """Run time of the task in seconds, from `after_execute` on; None if it never ran or still runs."""

    @property
    def due_at(self) -> float:
        """When the message became ready, in seconds since the Unix epoch, by the clock of the store."""
        return self.delivery.due_at


@record
class SettledContext:
    """Context of `on_settled`."""

    delivery: Delivery
    worker_id: str
    kind: SettlementKind
    applied: bool | None
    """True if the store has applied the settlement, also in a transaction of the task. False if it did not: the lease
    was lost, or the store refused every settlement. None if that is not known, because the store was unavailable
    until the worker stopped."""
    attempt: AttemptResult | None = None
    """The outcome of the run; None if it was interrupted, or never ran."""
    error: ErrorInfo | None = None
    """The error of a message that is retried or dead, or does not fit this worker."""
    reason: Reason | None = None
    """The reason of a dead letter."""
    retry_delay: float | None = None
    """Seconds until a retried or released message is ready again."""
    released: ReleaseReason | None = None
    """The reason of a release."""
    started_at: float | None = None
    """When the attempt started, in seconds since the Unix epoch; None if it was not started."""
    duration: float | None = None
    """Run time of the task in seconds; None if it never ran or still runs."""
    settled_at: float = 0.0
    """When the answer of the store arrived, in seconds since the Unix epoch."""

    @property
    def due_at(self) -> float:
        """When the message became ready, in seconds since the Unix epoch, by the clock of the store."""
        return self.delivery.due_at


@record
class NewsContext:
    """Context of `on_news`."""

    news: News
    worker_id: str
    """The worker whose reserve found it, not the one that lost the message."""


@record
class WorkerContext:
    """Context of `worker_started`, `worker_stopping` and `worker_stopped`."""

    worker_id: str
    queues: tuple[str, ...]
    concurrency: int


@record
class OperationContext:
    """Context of `on_operation`."""

    who: str
    """The user, as in `alice@web-1`, or what `asynctasq.operations.acting_as` names."""
    where: str
    """`cli`, `api`, or what `acting_as` names."""
    what: str
    """The operation: the property of the app and its method, as in `queues.pause`."""
    target: Mapping[str, object] = field(hash=False)
    """The target of the operation: `queue`, `states`, `schedule`, `ids` (a list), or `changes` (names only)."""
    counts: Mapping[str, int] = field(hash=False)
    """Numbers by outcome, such as `{"retried": 12, "unknown": 1}`; empty for one queue or schedule."""
    store: str
    """The store, described for people, without its password."""
    at: float
    """When it had succeeded, in seconds since the Unix epoch."""


@record
class Sample:
    """The value of a gauge at this moment."""

    name: str
    """Letters, digits and underscores; begin it with the name of your plugin. `asynctasq_` is reserved."""
    value: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """A few names, each with a small number of possible values."""
    help: str = ""
    """A sentence about the gauge."""


# Factories: called on the one plugin that the name selects.


@hookspec(firstresult=True)
def create_driver(name: str, settings: Any) -> Driver | None:
    """Make an unopened driver. `settings` is an instance of the class that `settings_class` returned."""


@hookspec(firstresult=True)
def create_serializer(name: str, settings: Any) -> Serializer | None:
    """Make a serializer."""


@hookspec(firstresult=True)
def create_executor(name: str, settings: Any) -> Executor | None:
    """Make an executor."""


@hookspec(firstresult=True)
def create_resolver(name: str, settings: Any) -> Resolver | None:
    """Make a model resolver."""


@hookspec(firstresult=True)
def create_transaction_adapter(name: str, settings: Any) -> TransactionAdapter | None:
    """Make the adapter that runs calls in transactions of a client. `name` is the top-level module of the client."""


@hookspec(firstresult=True)
def settings_class(name: str) -> type | None:
    """Return the dataclass of the plugin's settings, every field with a default.

    Without this hook the factory receives a plain dict. A static method `from_url(url) -> dict` on
    the class turns a driver URL into settings; without it the URL becomes the setting `url`. A class
    attribute `section` names the section that plugins of several names (`redis`, `rediss`) share.
    """


# Observers.


@hookspec
def before_dispatch(context: DispatchContext) -> None:
    """Observe a message before it is enqueued. You may add headers."""


@hookspec
def after_dispatch(context: DispatchContext) -> None:
    """Observe a message that was enqueued."""


@hookspec
def before_execute(context: ExecutionContext) -> None:
    """Observe an attempt before it runs."""


@hookspec
def after_execute(context: ExecutionContext) -> None:
    """Observe an attempt that ended, with whatever outcome; not called if it was interrupted."""


@hookspec
def on_retry(context: ExecutionContext) -> None:
    """Observe an attempt that failed and will be repeated."""


@hookspec
def on_failure(context: ExecutionContext) -> None:
    """Observe the failure of the last allowed attempt."""


@hookspec
def on_dead(context: ExecutionContext) -> None:
    """Observe a message that this worker made a dead letter, for any reason.

    Not called for those that the store makes by itself (reasons `lost` and `expired`): see `on_news`.
    `asynctasq dead` lists them all.
    """


@hookspec
def on_lost(context: ExecutionContext) -> None:
    """Observe a message that this worker was running when it lost the lease."""


@hookspec
def on_release(context: ExecutionContext) -> None:
    """Observe a message that this worker released, uncounted."""


@hookspec
def on_cancel(context: ExecutionContext) -> None:
    """Observe a running message that was cancelled and interrupted."""


@hookspec
def on_settled(context: SettledContext) -> None:
    """Observe the end of a message in this worker, after the answer of the store.

    Called exactly once for each message that the worker has fetched, whatever happened to it, in the
    background and one call after the other. If observers are too slow, calls are dropped with a warning.
    """


@hookspec
def on_news(context: NewsContext) -> None:
    """Observe a message that the store's upkeep moved: its lease was lost, it expired, or it is damaged.

    Called by one worker for each event, at best: events are lost if that worker dies, and drivers without
    NEWS report none.
    """


@hookspec
def on_operation(context: OperationContext) -> None:
    """Observe an operation of a person or program on the store, after it has succeeded.

    Called by `app.queues`, `app.tasks`, `app.dead_letters`, `app.schedules` and `app.outbox`, which the command
    line uses, too. Bulk operations are reported once, also if they ended early.
    """


@hookspec
def worker_started(context: WorkerContext) -> None:
    """Observe a worker before it fetches its first message."""


@hookspec
def worker_stopping(context: WorkerContext) -> None:
    """Observe a worker that has stopped fetching."""


@hookspec
def worker_stopped(context: WorkerContext) -> None:
    """Observe a worker that has settled everything that it ran."""


# Wrapper and commands.


@hookspec
def wrap_execute(call_next: Wrapper) -> Wrapper:
    """Wrap the running of every attempt; called once, at worker start.

    The wrapper may change the call's outcome, retry it, or refuse it by returning `Raised`.
    """
    raise NotImplementedError  # a specification: never called


@hookspec
def wrap_dispatch(batch: DispatchBatch) -> AbstractContextManager[Any] | None:
    """Return a context manager around the enqueue of a batch, in the context of the caller.

    A batch is one `dispatch`, or a chunk of at most 1,000 messages of `dispatch_many`. The context manager
    must not block. It sees the exception of the enqueue, and cannot change it.
    """


@hookspec
def wrap_task(task: CurrentTask) -> AbstractContextManager[Any] | None:
    """Return a context manager around the code of a task, where that code runs.

    It is entered on the event loop, in the thread or in the child process of the task, and must not block
    the loop. It sees the exception of the task, and cannot change it. A child process has the plugins that
    are installed, and those that a module registers while it is imported.
    """


@hookspec
def collect() -> Iterable[Sample]:
    """Return the gauges of your plugin, for `/metrics` of a worker.

    Called in any thread each time the metrics are read, so return quickly and do not wait. The hook may be a
    generator.
    """
    raise NotImplementedError  # a specification: never called


@hookspec
def register_commands(cli: "click.Group") -> None:
    """Add commands to the `asynctasq` command line."""
