"""The parts of an opened driver, and the calls that work on an unopened one."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from asynctasq.contracts.capabilities import SchemaState
from asynctasq_postgres.connections import CLOSE_SECONDS, Connection, abandon, connect
from asynctasq_postgres.doorbell import Doorbell
from asynctasq_postgres.errors import FAILURES, translated
from asynctasq_postgres.leasing import Leasing
from asynctasq_postgres.listener import Listener
from asynctasq_postgres.migrating import (
    check_usable,
    migrate,
    planned_statements,
    read_tables,
    schema_state,
)
from asynctasq_postgres.server import CallContext, Server
from asynctasq_postgres.timing import ListenerTiming


class Opened:
    """A driver between `open` and `close`."""

    def __init__(
        self, server: Server, timing: ListenerTiming, *, version: int, namespace: int
    ) -> None:
        self.server = server
        self.namespace = namespace
        """The number of the namespace."""
        self.version = version
        """That of the tables."""
        self.process = os.getpid()
        self.leasing = Leasing(server)
        self.doorbell = Doorbell(server)
        self.listener = Listener(server, timing)

    @classmethod
    async def start(cls, context: CallContext, timing: ListenerTiming) -> "Opened":
        """Connect, and check the tables.

        Raises:
            DriverUnavailable: the server accepts no connection.
            DriverError: the tables are missing, or those of a release with which this one cannot share them.
        """
        server = Server(context)
        try:
            async with server.connections.borrowed() as connection:
                tables = await read_tables(connection, context.names)
            check_usable(tables, context.place)
            # Now, in a transaction of its own: others would wait for one of the application that makes it.
            namespace = await server.value("namespace", context.settings.namespace)
        except FAILURES as error:
            await server.connections.close()
            raise translated(error, context.place) from error
        except BaseException:
            await server.connections.close()
            raise
        context.store = tables.store
        return cls(server, timing, version=tables.version, namespace=namespace)

    async def read_namespace(self) -> None:
        """Look the number of the namespace up again.

        Raises:
            DriverError: the call failed.
        """
        self.namespace = await self.server.value("namespace", self.server.settings.namespace)

    async def stop(self) -> None:
        """Close all connections. Never raises."""
        await self.doorbell.stop()
        await self.listener.stop()
        await self.server.connections.close()


async def look_at_tables(context: CallContext) -> SchemaState:
    """Return the versions of the tables."""
    async with _connection(context) as connection:
        return schema_state(await read_tables(connection, context.names))


async def take_steps(context: CallContext, *, dry_run: bool) -> Sequence[str]:
    """Take the steps that the tables need, and return their names; or return the statements of a dry run."""
    async with _connection(context) as connection:
        if dry_run:
            return await planned_statements(connection, context.names, context.place)
        return await migrate(connection, context.names, context.place)


@asynccontextmanager
async def _connection(context: CallContext) -> AsyncIterator[Connection]:
    """Yield a connection of its own."""
    try:
        connection = await connect(context.settings, context.settings.address())
        try:
            yield connection
        except BaseException:
            abandon(connection)
            raise
        with suppress(*FAILURES):
            await connection.close(timeout=CLOSE_SECONDS)
    except FAILURES as error:
        raise translated(error, context.place) from error
