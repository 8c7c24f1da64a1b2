"""The SQLite driver of a storm: audited, and with statements that fail."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from asynctasq.contracts.driver import Enqueued
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import LeaseState, Settled, Settlement
from tests.chaos.inside.audit import Audit
from tests.chaos.inside.switches import Switches

STATEMENT_ABORTED = "statements aborted"
_ERRORS = ("SQLITE_BUSY", "SQLITE_IOERR_WRITE", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_ERROR")


class AuditedSqliteDriver(SqliteDriver):
    """Writes down what it was asked and answered."""

    audit: Audit

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        return await self.audit.other(self, super().enqueue(messages))

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        call = super().reserve(queues, limit=limit, owner=owner, lease=lease)
        return await self.audit.reserve(self, call)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self.audit.settle(settlements, super().settle(settlements))

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        return await self.audit.other(self, super().extend(owner, leases, lease=lease))


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
