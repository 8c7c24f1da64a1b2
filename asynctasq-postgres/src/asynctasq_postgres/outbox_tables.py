"""The tables of the outbox: their version, and the steps to the version that this release needs."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.schema import SchemaState
from asynctasq.driverkit.sql import Step, pending_steps
from asynctasq_postgres.connections import Connection
from asynctasq_postgres.errors import FAILURES, translated
from asynctasq_postgres.migrating import planned, take_steps
from asynctasq_postgres.queries import Names, outbox_queries, script
from asynctasq_postgres.server import Server

STEPS = (("create the tables of the outbox", "outbox_1"),)
"""Names of the steps, each with its file."""


def create_statements(names: Names) -> list[str]:
    """Return the statements that create the tables, in a database without them."""
    schema = f'CREATE SCHEMA IF NOT EXISTS "{names.schema}"'
    return [schema, *(each for step in _steps(names) for each in step.statements)]


async def read_version(connection: Connection, names: Names) -> tuple[int, str]:
    """Return the version of the tables, and the ID of the database; 0 and no ID if there are no tables."""
    queries = outbox_queries(names)
    if not await connection.fetchval(queries["is_there"]):
        return 0, ""
    row = await connection.fetchrow(queries["version"])
    return (0, "") if row is None else (row[0], row[1])


async def look_at_outbox(server: Server) -> SchemaState:
    """Return the versions of the tables."""
    try:
        async with server.connections.borrowed() as connection:
            version, _ = await read_version(connection, server.names)
    except FAILURES as error:
        raise translated(error, server.place) from error
    return SchemaState(version, len(STEPS))


async def take_outbox_steps(server: Server, *, dry_run: bool) -> Sequence[str]:
    """Take the steps that the tables need, and return their names; or return the statements of a dry run."""
    try:
        async with server.connections.borrowed() as connection:

            async def pending() -> Sequence[Step]:
                version, _ = await read_version(connection, server.names)
                place = f"The outbox of {server.place}"
                return pending_steps(_steps(server.names), version, store=place)

            if dry_run:
                return await planned(connection, server.names, await pending())
            taken = await take_steps(connection, server.names, pending)
            _, server.context.store = await read_version(connection, server.names)
            return taken
    except FAILURES as error:
        raise translated(error, server.place) from error


def _steps(names: Names) -> list[Step]:
    return [Step(name, script(names, file)) for name, file in STEPS]
