"""Other drivers for every app of this process, for tests of applications."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakSet

from asynctasq.contracts.driver import Driver
from asynctasq.errors import ConfigurationError


class OverridableApp(Protocol):
    """An app whose drivers can be overridden."""

    def close_sync(self) -> None: ...

    def _set_connections_aside(self) -> Callable[[], None]:
        """Continue without open connections; the function that is returned brings them back."""
        ...


_apps: "WeakSet[OverridableApp]" = WeakSet()
_make: Callable[[Any, Driver], Driver] | None = None


def register_app(app: OverridableApp) -> None:
    """Include an app in overrides, for as long as it exists."""
    _apps.add(app)


def driver_to_open(app: OverridableApp, template: Driver) -> Driver:
    """Return the driver that an app opens where its settings name `template`."""
    return template.clone() if _make is None else _make(app, template)


def are_drivers_overridden() -> bool:
    """Return whether the drivers of all apps are overridden at the moment."""
    return _make is not None


@contextmanager
def override_drivers(make: Callable[[Any, Driver], Driver]) -> Iterator[None]:
    """Override the drivers of every app of this process, regardless of its settings.

    Connections that apps have open stay open but unused, and are used again afterwards.

    Args:
        make: called with the app and the driver of its settings; returns the driver to open.

    Raises:
        ConfigurationError: the drivers are overridden already.
    """
    global _make  # noqa: PLW0603  an override concerns the whole process
    if _make is not None:
        raise ConfigurationError(
            "The drivers of all apps are already overridden. Close the open Sandbox first."
        )
    restore = {app: app._set_connections_aside() for app in list(_apps)}
    _make = make
    try:
        yield
    finally:
        for app in list(_apps):
            if app in restore:
                restore[app]()
            else:  # made during the override
                app.close_sync()
                app._set_connections_aside()
        _make = None
