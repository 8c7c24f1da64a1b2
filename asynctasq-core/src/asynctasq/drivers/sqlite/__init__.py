"""The sqlite driver: the embedded default, one file for several processes of one machine."""

from typing import TYPE_CHECKING

from asynctasq.drivers.sqlite.settings import SqliteSettings

if TYPE_CHECKING:
    from asynctasq.drivers.sqlite.driver import SqliteDriver as SqliteDriver

__all__ = ["SqliteDriver", "SqliteSettings"]


def __getattr__(name: str) -> object:
    # The plugin module lives in this package and must not import sqlite3 before it is asked to.
    if name == "SqliteDriver":
        from asynctasq.drivers.sqlite.driver import SqliteDriver

        return SqliteDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
