"""The way from a task to the app that dispatches it, without tasks knowing of apps."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from asynctasq.results import Handle
    from asynctasq.tasks.base import BaseTask

T = TypeVar("T")


class Dispatcher(Protocol):
    """What a task needs of an app."""

    async def dispatch(self, task: "BaseTask[T]") -> "Handle[T]": ...

    def dispatch_sync(self, task: "BaseTask[Any]") -> "Handle[Any]": ...

    def handle(self, task_id: str) -> "Handle[Any]": ...


_provider: Callable[[], Dispatcher] | None = None


def provide_dispatcher(provider: Callable[[], Dispatcher]) -> None:
    """Say where `task.dispatch()` goes; called once, when `asynctasq` is imported."""
    global _provider  # noqa: PLW0603  the one slot through which the default app is reached
    _provider = provider


def current_dispatcher() -> Dispatcher:
    """The app in use."""
    assert _provider is not None, "asynctasq/__init__.py provides it"
    return _provider()
