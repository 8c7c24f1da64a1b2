"""Hook specifications: all that a plugin can implement.

A plugin is a module (or object) whose functions carry `@hookimpl`. It is found by its entry point:
one group per kind, named in `GROUPS`. Observers receive one context, may be sync or async, and
cannot change the outcome; what may change it is `wrap_execute`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import AttemptResult, Executor, Wrapper
from asynctasq.contracts.resolver import Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.message import Delivery, Message
from asynctasq.records import record
from asynctasq.settlement import ErrorInfo, Reason, ReleaseReason

if TYPE_CHECKING:
    import click

PROJECT = "asynctasq"

GROUPS: Mapping[str, str] = {
    "driver": "asynctasq.drivers",
    "serializer": "asynctasq.serializers",
    "executor": "asynctasq.executors",
    "resolver": "asynctasq.resolvers",
    "hook": "asynctasq.hooks",
}
"""Kind of plugin to entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@record
class DispatchContext:
    """Of `before_dispatch` and `after_dispatch`."""

    message: Message
    headers: dict[str, str]
    """Travels with the message; `before_dispatch` may add to it."""


@record
class ExecutionContext:
    """Of the observers around one attempt."""

    delivery: Delivery
    worker_id: str
    attempt: AttemptResult | None = None
    """How it ended, from `after_execute` on."""
    error: ErrorInfo | None = None
    """Of `on_retry`, `on_failure` and `on_dead`."""
    reason: Reason | None = None
    """Of `on_dead`."""
    retry_delay: float | None = None
    """Of `on_retry` and `on_release`: seconds."""
    released: ReleaseReason | None = None
    """The reason of `on_release`."""


@record
class NewsContext:
    """Context of `on_news`."""

    news: News
    worker_id: str
    """The worker whose reserve found it, not the one that lost the message."""


@record
class WorkerContext:
    """Of `worker_started`, `worker_stopping` and `worker_stopped`."""

    worker_id: str
    queues: tuple[str, ...]
    concurrency: int


# Factories: asked of the one plugin that the name selects.


@hookspec(firstresult=True)
def create_driver(name: str, settings: Any) -> Driver | None:
    """Make an unopened driver. `settings` is an instance of what `settings_class` gave."""


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
def settings_class(name: str) -> type | None:
    """The dataclass of the plugin's settings, every field with a default.

    Without this hook the factory receives a plain dict. A static method `from_url(url) -> dict` on
    the class turns a driver URL into settings; without it the URL becomes the setting `url`. A class
    attribute `section` names the section that plugins of several names (`redis`, `rediss`) share.
    """


# Observers.


@hookspec
def before_dispatch(context: DispatchContext) -> None:
    """A message is about to be enqueued; headers may be added."""


@hookspec
def after_dispatch(context: DispatchContext) -> None:
    """A message was enqueued."""


@hookspec
def before_execute(context: ExecutionContext) -> None:
    """An attempt is about to run."""


@hookspec
def after_execute(context: ExecutionContext) -> None:
    """An attempt ended, whichever way; not called for one that was interrupted."""


@hookspec
def on_retry(context: ExecutionContext) -> None:
    """An attempt failed and will be repeated."""


@hookspec
def on_failure(context: ExecutionContext) -> None:
    """The last allowed attempt failed."""


@hookspec
def on_dead(context: ExecutionContext) -> None:
    """This worker sent a message to the dead letters, for whatever reason.

    Not called for those that the store makes by itself (reasons `lost` and `expired`): see `on_news`.
    `asynctasq dead` lists them all.
    """


@hookspec
def on_lost(context: ExecutionContext) -> None:
    """This worker lost the lease of a message that it was running."""


@hookspec
def on_release(context: ExecutionContext) -> None:
    """This worker gave a message back, uncounted."""


@hookspec
def on_cancel(context: ExecutionContext) -> None:
    """A running message was cancelled and interrupted."""


@hookspec
def on_news(context: NewsContext) -> None:
    """The store's upkeep moved a message: its lease ended unrenewed, it expired, or its record is damaged.

    Called by one worker for each event, at best: events are lost if that worker dies, and drivers without
    NEWS report none.
    """


@hookspec
def worker_started(context: WorkerContext) -> None:
    """A worker is about to fetch its first message."""


@hookspec
def worker_stopping(context: WorkerContext) -> None:
    """A worker has stopped fetching."""


@hookspec
def worker_stopped(context: WorkerContext) -> None:
    """A worker has settled everything that it ran."""


# Wrapper and commands.


@hookspec
def wrap_execute(call_next: Wrapper) -> Wrapper:
    """Wrap the running of every attempt; called once, at worker start.

    The wrapper may change the call's outcome, retry it, or refuse it by returning `Raised`.
    """
    raise NotImplementedError  # a specification: never called


@hookspec
def register_commands(cli: "click.Group") -> None:
    """Add commands to the `asynctasq` command line."""
