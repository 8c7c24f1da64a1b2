"""Calls of observer hooks, and of the hooks that wrap the execution of tasks.

An empty pluggy call costs more than core's own share of settling a message, so hooks are looked up
once: each becomes a tuple of callables, and an empty tuple is falsy and skipped by the caller.

    if observers.before_execute:
        await observers.notify(observers.before_execute, context)
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pluggy

from asynctasq.contracts.executor import Wrapper
from asynctasq.errors import PluginBroken
from asynctasq.hookspecs import (
    DispatchContext,
    ExecutionContext,
    NewsContext,
    OperationContext,
    SettledContext,
    WorkerContext,
)
from asynctasq.plugins import Plugin
from asynctasq.records import record

logger = logging.getLogger("asynctasq.plugins")


@record
class Observer:
    """One observer function of a plugin."""

    plugin: str
    hook: str
    call: Callable[[Any], Any]
    is_async: bool


Context: TypeAlias = (
    DispatchContext
    | ExecutionContext
    | SettledContext
    | NewsContext
    | OperationContext
    | WorkerContext
)
"""The argument of an observer."""


class Observers:
    """The observer hooks of an app's plugins, looked up once from `PluginRegistry.hooks()`.

    Order: those marked `tryfirst`, the others, those marked `trylast`; within each, installed
    plugins by name and then the application's own in the order of their registration.
    """

    before_dispatch: tuple[Observer, ...]
    """Called before the message is encoded, so that it can add headers."""
    after_dispatch: tuple[Observer, ...]
    before_execute: tuple[Observer, ...]
    after_execute: tuple[Observer, ...]
    on_retry: tuple[Observer, ...]
    on_failure: tuple[Observer, ...]
    on_dead: tuple[Observer, ...]
    on_lost: tuple[Observer, ...]
    on_release: tuple[Observer, ...]
    on_cancel: tuple[Observer, ...]
    on_settled: tuple[Observer, ...]
    on_news: tuple[Observer, ...]
    on_operation: tuple[Observer, ...]
    worker_started: tuple[Observer, ...]
    worker_stopping: tuple[Observer, ...]
    worker_stopped: tuple[Observer, ...]
    wrap_dispatch: tuple[Observer, ...]
    """Return context managers, for `Surrounding`."""
    wrap_task: tuple[Observer, ...]
    collect: tuple[Observer, ...]
    """Return samples, for `Gauges`."""

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        plugins = list(plugins)
        for hook in Observers.__annotations__:
            found = tuple(_observer(hook, *each) for each in _in_order(plugins, hook))
            setattr(self, hook, found)
        self._wrappers = tuple(_in_order(plugins, "wrap_execute"))

    async def notify(
        self,
        observers: tuple[Observer, ...],
        context: Context,
    ) -> None:
        """Call the observers of one hook in turn, and log the exceptions that they raise.

        This includes `SystemExit` and similar exceptions, because an observer must not stop a worker.
        Only a requested cancellation of the current task is raised.
        """
        for observer in observers:
            try:
                answer = observer.call(context)
                if observer.is_async or (answer is not None and inspect.isawaitable(answer)):
                    await answer
            except GeneratorExit:
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise
                logger.exception(
                    "Plugin %s raised in %s; tasks are not affected",
                    observer.plugin,
                    observer.hook,
                    extra={"plugin": observer.plugin, "hook": observer.hook},
                )

    def wrap(self, call: Wrapper) -> Wrapper:
        """Wrap `call` with every `wrap_execute`; the first in the order is the outermost.

        Raises:
            PluginBroken: one raised, or did not return a callable.
        """
        for plugin, implementation in reversed(self._wrappers):
            try:
                wrapped = _bind(implementation)(call)
            except Exception as error:
                raise PluginBroken(
                    f"The {plugin.entry.label} is broken: wrap_execute raised "
                    f"{type(error).__qualname__}: {error}"
                ) from error
            answer: object = wrapped
            if not callable(answer):
                raise PluginBroken(
                    f"The {plugin.entry.label} is broken: wrap_execute returned {answer!r}, "
                    "not a function that takes a call."
                )
            call = wrapped
        return call


OBSERVER_HOOKS = tuple(
    name
    for name in Observers.__annotations__
    if name not in {"wrap_dispatch", "wrap_task", "collect"}
)
"""Hooks that receive a context, and whose answers do not matter."""


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _in_order(plugins: list[Plugin], hook: str) -> Iterator[tuple[Plugin, pluggy.HookImpl]]:
    found = [(plugin, each) for plugin in plugins for each in plugin.implementations(hook)]
    return iter(sorted(found, key=lambda pair: (not pair[1].tryfirst, pair[1].trylast)))


def _observer(hook: str, plugin: Plugin, implementation: pluggy.HookImpl) -> Observer:
    return Observer(
        plugin=plugin.name,
        hook=hook,
        call=_bind(implementation),
        is_async=inspect.iscoroutinefunction(implementation.function),
    )


def _bind(implementation: pluggy.HookImpl) -> Callable[[Any], Any]:
    """Return the hook as a function of exactly one parameter, which plugins may omit."""
    function: Callable[..., Any] = implementation.function
    if implementation.argnames:
        return function
    return lambda _: function()
