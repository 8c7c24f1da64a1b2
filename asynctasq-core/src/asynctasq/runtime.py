"""The app in use: that of the enclosing `async with app` or worker, otherwise the default app.

This module holds the only global state of the package. It is below `asynctasq.app`, so that tasks and
handles can find their app without importing it.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Protocol


class TaskDispatcher(Protocol):
    """The methods of a dispatcher that tasks and handles call."""

    def dispatch(self, task: Any, /, *, transaction: object = None) -> Coroutine[Any, Any, Any]: ...

    def dispatch_sync(self, task: Any, /, *, transaction: object = None) -> Any: ...

    def schedule(
        self, task: Any, name: str, options: Mapping[str, object], /
    ) -> Coroutine[Any, Any, Any]: ...

    def handle(self, task_id: str, /) -> Any: ...


class CurrentApp(Protocol):
    """The part of an app that this module knows."""

    @property
    def _dispatcher(self) -> TaskDispatcher: ...


AppToken = Token[CurrentApp | None]
"""Undoes one `use_here`."""

default: CurrentApp | None = None
"""The default app; None until `init()` is called or the default app is first used."""
_make_default: Callable[[], CurrentApp] | None = None
_current: ContextVar[CurrentApp | None] = ContextVar("asynctasq_current_app", default=None)
_replacement: TaskDispatcher | None = None


def current_app() -> CurrentApp:
    """Return the app in use here."""
    return _current.get() or default or default_app()


def current_dispatcher() -> TaskDispatcher:
    """Return the dispatcher that `task.dispatch()` uses here."""
    return _replacement or (_current.get() or default or default_app())._dispatcher


def enclosing_app() -> CurrentApp | None:
    """Return the app of the enclosing `async with app` or worker; None outside of them."""
    return _current.get()


def use_here(app: CurrentApp | None) -> AppToken:
    """Make an app the one in use in this context and in copies of it; `stop_using` undoes it."""
    return _current.set(app)


def stop_using(token: AppToken) -> None:
    """Make the app that was in use before `use_here` the one in use again."""
    _current.reset(token)


def default_app() -> CurrentApp:
    """Return the default app, which is made from the environment if there is none yet."""
    global default  # noqa: PLW0603  see the docstring of this module
    if default is None:
        assert _make_default is not None, "asynctasq/__init__.py provides it"
        default = _make_default()
    return default


def set_default(app: CurrentApp | None) -> None:
    """Replace the default app."""
    global default  # noqa: PLW0603  see the docstring of this module
    default = app


def provide_default(make: Callable[[], CurrentApp]) -> None:
    """Set the function that makes the default app; called once, when `asynctasq` is imported."""
    global _make_default  # noqa: PLW0603  see the docstring of this module
    _make_default = make


@contextmanager
def dispatcher_replaced(dispatcher: TaskDispatcher) -> Iterator[None]:
    """Let every task of this process use another dispatcher, whichever app is in use."""
    global _replacement  # noqa: PLW0603  see the docstring of this module
    before, _replacement = _replacement, dispatcher
    try:
        yield
    finally:
        _replacement = before
