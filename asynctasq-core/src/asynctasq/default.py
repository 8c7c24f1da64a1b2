"""The default app: `init`, `close` and `run`."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar, cast

from asynctasq import runtime
from asynctasq.app import App, Lifespan
from asynctasq.config import settings_warnings_muted, warn_of_hidden
from asynctasq.config.settings import EventLoop
from asynctasq.errors import AsynctasqError, ConfigurationError
from asynctasq.import_rules import module_imported_for_message

logger = logging.getLogger("asynctasq")

T = TypeVar("T")


def current_app() -> App:
    """Return the app in use here: that of the enclosing `async with app` or worker, else the default app."""
    return cast("App", runtime.current_app())


def default_app() -> App:
    """Return the app that `init` made; without `init`, it is made from the environment and defaults.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    return cast("App", runtime.default_app())


def existing_default() -> App | None:
    """Return the default app if it has been made."""
    return cast("App | None", runtime.default)


def init(settings: Mapping[str, object] | None = None, *, lifespan: Lifespan | None = None) -> App:
    """Make the default app.

    A second call replaces it unless it is open; one that changes nothing does nothing. In a module that
    is imported because a message named it, the call returns the app that is in use: a message must not
    change settings.

    Args:
        settings: see `docs/settings.md`; settings that are not given come from the environment and
            `.env`.
        lifespan: an async context manager function, entered by each worker; the value it yields is
            `current_task().resources`.

    Raises:
        ConfigurationError: a setting is wrong, or the default app is open with other settings.
        PluginError: the plugin of the driver or of the serializer cannot be used.
    """
    module = module_imported_for_message()
    if module is not None:
        return _ignore_settings(module, settings, lifespan)
    made = App(settings, lifespan=lifespan)
    warn_of_hidden(made.settings)
    before = existing_default()
    if before is not None:
        if before._runtime.overrides:
            made._override(before._runtime.overrides)
        if before._is_same_as(made):
            return before
        if before.is_open or runtime.enclosing_app() is before:
            raise ConfigurationError(
                f"init() was called with other settings while the default app is open on "
                f"{before.settings.driver_text}. Call init() once, before the first dispatch, or close the "
                f"app first: await asynctasq.close()."
            )
        made._pool.take_over(before._pool)
    runtime.set_default(made)
    return made


def _ignore_settings(
    module: str, settings: Mapping[str, object] | None, lifespan: Lifespan | None
) -> App:
    """Return the app in use, and log that a module asked for other settings."""
    used = current_app()
    try:
        wanted = App(settings, lifespan=lifespan)
        wanted._override(used._runtime.overrides)
        is_same = used._is_same_as(wanted)
    except AsynctasqError:
        is_same = False
    if not is_same and not settings_warnings_muted():
        logger.warning(
            "Ignored the settings that init() gives in the module %s, because a message had it imported. "
            "To use them, name the module with --app or the setting `imports`.",
            module,
        )
    return used


async def close() -> None:
    """Close everything that the default app has opened on this loop. Idempotent."""
    app = existing_default()
    if app is not None:
        await app.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, on uvloop if it is installed, and close the default app afterwards.

    A worker that still runs by then is cancelled, and releases its tasks.

    Raises:
        TypeError: the argument is not a coroutine.
    """
    if not asyncio.iscoroutine(main):
        raise TypeError(
            f"The argument of run() must be a coroutine, as in asynctasq.run(main()), got {main!r}. "
            f"Dispatch a task in that coroutine, or with task.dispatch_sync()."
        )
    app = existing_default()
    return run_on(EventLoop.UVLOOP if app is None else app.settings.loop, main)


def run_on(loop: EventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine like `run`, on that kind of event loop; on asyncio's if uvloop is not installed."""

    async def closing() -> T:
        try:
            return await main
        finally:
            app = existing_default()
            if app is not None and (workers := app._workers_here()):
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
