"""The app in use: that of the enclosing block or worker, else the default one."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextvars import Token
from typing import Any, TypeVar

from asynctasq.app import App, Lifespan, current
from asynctasq.config.settings import EventLoop
from asynctasq.errors import ConfigurationError

T = TypeVar("T")

_default: App | None = None


def current_app() -> App:
    """The app in use here: that of the enclosing `async with app` or worker, else the default one."""
    return current.get() or default_app()


def use_here(app: App) -> Token[App | None]:
    """Make an app the current one of this context and those copied from it; the token undoes it."""
    return current.set(app)


def default_app() -> App:
    """The app that `init` made; made from environment and defaults if it was not called.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    global _default  # noqa: PLW0603  the default app is the one piece of global state
    if _default is None:
        _default = App()
    return _default


def init(settings: Mapping[str, object] | None = None, *, lifespan: Lifespan | None = None) -> App:
    """Make the default app.

    A second call replaces it unless it is open; one that changes nothing does nothing.

    Args:
        settings: see `docs/settings.md`; the environment and `.env` supply what is not given.
        lifespan: an async context manager function, entered by each worker; what it yields is
            `current_task().resources`.

    Raises:
        ConfigurationError: a setting is wrong, or the default app is open with other settings.
        PluginError: the driver's or the serializer's plugin cannot be used.
    """
    global _default  # noqa: PLW0603  the default app is the one piece of global state
    made = App(settings, lifespan=lifespan)
    if _default is not None and _default._command_line:
        made.override(_default._command_line)
    if _default is not None and _default.is_same_as(made):
        return _default
    if _default is not None and (_default.is_open or current.get() is _default):
        raise ConfigurationError(
            f"init() with other settings, while the default app is open on {_default.settings.driver_text}. "
            f"Call init() once, before the first dispatch, or close the app first: await asynctasq.close()."
        )
    if _default is not None:
        made._pool.take_over(_default._pool)
    _default = made
    return made


async def close() -> None:
    """Close what the default app has open on this loop. Idempotent."""
    if _default is not None:
        await _default.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where it exists, and close the default app afterwards.

    A worker that still runs by then is cancelled: it gives back what it holds.

    Raises:
        TypeError: it is no coroutine.
    """
    if not asyncio.iscoroutine(main):
        raise TypeError(
            f"run() takes a coroutine, as in asynctasq.run(main()); got {main!r}. A task is dispatched in one, "
            "or with task.dispatch_sync()."
        )

    return run_on(EventLoop.UVLOOP if _default is None else _default.settings.loop, main)


def run_on(loop: EventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on that kind of event loop, asyncio's where uvloop is not installed; then as `run`."""

    async def closing() -> T:
        try:
            return await main
        finally:
            if _default is not None and (workers := _default.workers_here()):
                for each in workers:
                    each.cancel()
                await asyncio.wait(workers)
            await close()

    if loop is EventLoop.UVLOOP:
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.run(closing())
    return asyncio.run(closing())
