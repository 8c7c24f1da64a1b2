"""Calls of the functions in the database, repeated where that is safe."""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from asynctasq.driverkit.times import micros
from asynctasq_postgres.connections import Connection, Connections
from asynctasq_postgres.errors import FAILURES, REPEATED, breaks_connection, code_of, translated
from asynctasq_postgres.queries import Names, calls
from asynctasq_postgres.settings import PostgresSettings

TRIES = 5
"""Of a call that meets a dead-lock or a lock."""
PATIENT = frozenset({"cancel", "flag"})
"""Calls that wait for locks themselves, as long as a caller should."""
LONGEST_PAUSE = 0.05
"""Seconds before the second try; it doubles."""

log = logging.getLogger("asynctasq.postgres")

Row = Sequence[Any]


class CallContext:
    """Values that all calls of a driver use, whether it is open or not."""

    def __init__(self, settings: PostgresSettings) -> None:
        self.settings = settings
        self.names = Names(settings.schema, settings.table_prefix)
        self.place = settings.description
        self.clock_offset = 0.0
        self.store = ""
        """The ID of the database; empty before the driver was opened."""
        self.calls: Mapping[str, str] = calls(self.names, settings.synchronous_commit)

    @property
    def shift(self) -> int:
        """The offset of the clock, in microseconds."""
        return micros(self.clock_offset)


class Server:
    """The database, as an opened driver calls it."""

    def __init__(self, context: CallContext) -> None:
        self.context = context
        self.settings = context.settings
        self.names = context.names
        self.place = context.place
        self.connections = Connections(context.settings)

    @property
    def shift(self) -> int:
        """The offset of the clock, in microseconds."""
        return self.context.shift

    @property
    def commits_alone(self) -> bool:
        """True if calls are sent without a transaction around them, so that a procedure may commit."""
        return self.settings.statement_cache_size > 0

    def rows(self, call: str, *parameters: Any) -> Coroutine[Any, Any, list[Row]]:
        """Return the rows of a call in the file `calls.sql`.

        Raises:
            DriverUnavailable: a later call may succeed. This one may have been executed.
            DriverError: it was not executed.
        """
        tries = 1 if call in PATIENT else TRIES
        return self.execute(self.context.calls[call], *parameters, tries=tries)

    async def execute(self, sql: str, *parameters: Any, tries: int = TRIES) -> list[Row]:
        """Return the rows of a statement. Raises as `rows` does."""
        for tried in range(1, tries + 1):
            try:
                return await self._rows(sql, parameters)
            except FAILURES as error:
                pause = self.pause_after(error, tried=tried, tries=tries)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def pause_after(self, error: Exception, *, tried: int, tries: int = TRIES) -> float:
        """Return the seconds after which a call that failed is repeated.

        Args:
            error: one of `FAILURES`.
            tried: how often the call has been tried.
            tries: how often it may be tried.

        Raises:
            DriverUnavailable: it is not repeated; a later call may succeed.
            DriverError: it is not repeated.
        """
        if breaks_connection(error):
            self.connections.drop_idle()
        if code_of(error) not in REPEATED or tried == tries:
            raise translated(error, self.place) from error
        log.debug("A call is repeated: %s", error)
        return random.uniform(0.0, LONGEST_PAUSE * 2 ** (tried - 1))

    async def value(self, call: str, *parameters: Any) -> Any:
        """Return the only value of a call. Raises as `rows` does."""
        return (await self.rows(call, *parameters))[0][0]

    async def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        taken = await self.connections.take()
        try:
            if self.commits_alone:
                rows: list[Row] = await taken.rows(sql, parameters)
            else:
                rows = await _in_transaction(taken.connection, sql, parameters)
        except BaseException as error:
            self.connections.give_back(taken, error)
            raise
        self.connections.give_back(taken, None)
        return rows


async def _in_transaction(connection: Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    """Fetch rows in a transaction, within which a PgBouncer does not change the server."""
    async with connection.transaction():
        rows: list[Row] = await connection.fetch(sql, *parameters)
        return rows
