"""Entry point `sqlite` of the group `asynctasq.drivers`."""

from typing import TYPE_CHECKING

from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.hookspecs import hookimpl

if TYPE_CHECKING:
    from asynctasq.drivers.sqlite.driver import SqliteDriver


@hookimpl
def create_driver(name: str, settings: SqliteSettings) -> "SqliteDriver":
    """Return an unopened sqlite driver."""
    from asynctasq.drivers.sqlite.driver import SqliteDriver

    return SqliteDriver.from_settings(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return SqliteSettings
