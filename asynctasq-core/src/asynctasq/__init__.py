"""A task queue for asyncio: stores, serializers, executors and model resolvers are plugins.

    import asynctasq

    @asynctasq.task
    async def greet(name: str) -> str:
        return f"Hello, {name}!"

    async def main() -> None:
        handle = await greet("world").dispatch()
        print(await handle.result(timeout=30))

    asynctasq.run(main())

A worker runs dispatched tasks: `asynctasq worker --app MODULE`.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from asynctasq.message import OnConflict, State, Unique, UniqueUntil
from asynctasq.results import Handle
from asynctasq.runtime import CurrentApp, provide_default
from asynctasq.tasks import (
    AsyncProcessTask,
    AsyncTask,
    BaseTask,
    CurrentTask,
    Reject,
    Retry,
    Snooze,
    SyncProcessTask,
    SyncTask,
    current_task,
    task,
)
from asynctasq.transaction_scope import transaction
from asynctasq.version import __version__

if TYPE_CHECKING:
    from asynctasq.app import App, Lifespan
    from asynctasq.default import close, default_app, init, run
    from asynctasq.dispatch.dispatcher import AnyDefinition
    from asynctasq.hookspecs import hookimpl
    from asynctasq.serializers.custom_types import register_type
    from asynctasq.worker.worker import Worker

T = TypeVar("T")

_LAZY: Mapping[str, str] = {
    "App": "asynctasq.app",
    "Lifespan": "asynctasq.app",
    "Worker": "asynctasq.worker.worker",
    "close": "asynctasq.default",
    "default_app": "asynctasq.default",
    "hookimpl": "asynctasq.hookspecs",
    "init": "asynctasq.default",
    "register_type": "asynctasq.serializers.custom_types",
    "run": "asynctasq.default",
}
"""Public names whose modules import more than task definitions need; imported at their first use."""


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def _make_default() -> CurrentApp:
    from asynctasq.app import App

    return App()


provide_default(_make_default)


async def dispatch_many(
    tasks: Iterable[BaseTask[T]],
    *,
    on_progress: Callable[[int], object] | None = None,
    transaction: object = None,
) -> list[Handle[T]]:
    """Dispatch tasks in large chunks; see `App.dispatch_many`."""
    from asynctasq.default import current_app

    return await current_app().dispatch_many(
        tasks, on_progress=on_progress, transaction=transaction
    )


@overload
def handle(task_id: str) -> Handle[Any]: ...
@overload
def handle(task_id: str, task: "AnyDefinition[T]") -> Handle[T]: ...
def handle(task_id: str, task: "AnyDefinition[T] | None" = None) -> Handle[Any]:
    """Return the handle of a task that was dispatched earlier; see `App.handle`."""
    from asynctasq.default import current_app

    app = current_app()
    return app.handle(task_id) if task is None else app.handle(task_id, task)


__all__ = [
    "App",
    "AsyncProcessTask",
    "AsyncTask",
    "BaseTask",
    "CurrentTask",
    "Handle",
    "Lifespan",
    "OnConflict",
    "Reject",
    "Retry",
    "Snooze",
    "State",
    "SyncProcessTask",
    "SyncTask",
    "Unique",
    "UniqueUntil",
    "Worker",
    "__version__",
    "close",
    "current_task",
    "default_app",
    "dispatch_many",
    "handle",
    "hookimpl",
    "init",
    "register_type",
    "run",
    "task",
    "transaction",
]
