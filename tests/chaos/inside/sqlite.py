"""The SQLite driver of a storm: audited, and with statements that fail."""

import sqlite3
from typing import Any

from asynctasq.drivers.sqlite import SqliteDriver
from tests.chaos.inside.audited import AuditedCalls
from tests.chaos.inside.switches import Switches

STATEMENT_ABORTED = "statements aborted"
_ERRORS = ("SQLITE_BUSY", "SQLITE_IOERR_WRITE", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_ERROR")


class AuditedSqliteDriver(AuditedCalls, SqliteDriver):
    """Writes down what it was asked and answered."""


def abort_statements(switches: Switches) -> None:
    """Let connections that this process opens from now on fail while the switch is on."""
    module: Any = sqlite3
    connect = sqlite3.connect
    number = 0

    class Aborting(sqlite3.Connection):
        """Fails instead of running a statement, as SQLite does when the disk fails or is full."""

        def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
            _fail_at_random()
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
            _fail_at_random()
            return super().executemany(sql, parameters)

    def _fail_at_random() -> None:
        nonlocal number
        if switches.strikes(STATEMENT_ABORTED):
            number += 1
            name = _ERRORS[number % len(_ERRORS)]
            error = sqlite3.OperationalError(f"aborted by the storm ({name})")
            error.sqlite_errorname = name
            raise error

    def connect_aborting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **{"factory": Aborting, **kwargs})
        return connection

    module.connect = connect_aborting
