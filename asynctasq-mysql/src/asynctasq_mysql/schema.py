"""The tables: looking at them, and bringing them to the version that this release needs.

MySQL and MariaDB commit each statement that changes a table by itself. So a step looks for each of its changes in
`information_schema`, and makes those that are missing: a migration that was killed goes on where it stopped.
"""

import re
from collections.abc import Sequence

from asynctasq.contracts.capabilities import SchemaState
from asynctasq.driverkit.sql import Step, pending_steps
from asynctasq.errors import ConfigurationError, DriverError, DriverUnavailable
from asynctasq.records import record
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.statements import Fragment, TableStatements, in_list

OLDEST_VERSION = 1
NEEDED_VERSION = 4
USABLE_FROM = 1
"""The oldest version of which a release must know the schema to use the tables of this release."""
LOCK_SECONDS = 60
LEAST_MYSQL, LEAST_MARIADB = (8, 0, 19), (10, 6)

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@record
class Server:
    """Facts about a server."""

    version: str
    is_mariadb: bool
    packet: int
    """Bytes of the largest packet that it accepts."""


async def look_at_server(wire: Wire, sql: TableStatements, place: str) -> Server:
    """Return facts about the server.

    Raises:
        ConfigurationError: it is too old, or lacks InnoDB.
        DriverUnavailable: it is read-only.
    """
    [answer] = await wire.run(sql.store["server"]())
    version, packet, read_only, has_innodb = answer.rows[0]
    text = version.decode() if isinstance(version, bytes) else str(version)
    found = _VERSION.match(text)
    number = tuple(int(part or 0) for part in found.groups()) if found else (0,)
    is_mariadb = "mariadb" in text.lower()
    least = LEAST_MARIADB if is_mariadb else LEAST_MYSQL
    if number < least:
        raise ConfigurationError(
            f"The server at {place} must be MySQL 8.0.19 or MariaDB 10.6 or later, got {text}. Upgrade it, or use "
            "another driver."
        )
    if not has_innodb:
        raise ConfigurationError(
            f"The server at {place} must have InnoDB. Enable that storage engine."
        )
    if read_only not in (0, "OFF", b"OFF", "0", b"0"):
        raise DriverUnavailable(
            f"The server at {place} is read-only. Set the address of the primary."
        )
    return Server(text, is_mariadb, int(packet))


def steps(sql: TableStatements) -> Sequence[Step]:
    """Return the steps that lead to each version."""
    return [Step(name, list(tables.values())) for name, tables in sql.versions.items()]


async def _existing(wire: Wire, sql: TableStatements) -> set[bytes]:
    [answer] = await wire.run(sql.store["tables"](tables=in_list(sql.tables)))
    return {row[0].encode() if isinstance(row[0], str) else bytes(row[0]) for row in answer.rows}


async def _version(
    wire: Wire, sql: TableStatements, existing: set[bytes]
) -> tuple[int, int | None]:
    """Return the version of the tables, and the oldest version that can use them."""
    if sql.table("meta") not in existing:
        return 0, None
    [answer] = await wire.run(sql.store["version"]())
    return (answer.rows[0][0], answer.rows[0][1]) if answer.rows else (0, None)


async def schema_state(wire: Wire, sql: TableStatements) -> SchemaState:
    """Return the version of the tables, and those that this release can use."""
    current, _ = await _version(wire, sql, await _existing(wire, sql))
    return SchemaState(current, NEEDED_VERSION, OLDEST_VERSION)


async def check_schema(wire: Wire, sql: TableStatements, place: str) -> int:
    """Check that this release can use the tables; return their version.

    Raises:
        DriverError: there are none, or they are too old or too new.
    """
    current, usable_from = await _version(wire, sql, await _existing(wire, sql))
    if current == 0:
        raise DriverError(
            f"The database at {place} has no tables of asynctasq. Run `asynctasq migrate`."
        )
    if current < OLDEST_VERSION:
        raise DriverError(
            f"The database at {place} must have tables of version {OLDEST_VERSION} or later, got version "
            f"{current}. Run `asynctasq migrate`."
        )
    pending_steps(steps(sql), current, store=f"The database at {place}", usable_from=usable_from)
    return current


async def migrate(wire: Wire, sql: TableStatements, place: str, *, dry_run: bool) -> list[str]:
    """Bring the tables to the needed version.

    Returns:
        The names of the steps taken; with `dry_run`, the statements that would be executed.

    Raises:
        DriverError: a newer release made the tables, and this one cannot use them.
        DriverUnavailable: another process migrates them, and takes long.
    """
    if dry_run:
        pending, existing = await _pending(wire, sql, place)
        planned = [text for step in pending for text in _missing(step, sql, existing)]
        return [*planned, set_version(sql)] if pending else []
    prefix = sql.table("meta")
    [lock] = await wire.run(sql.store["lock"](prefix=prefix, seconds=LOCK_SECONDS))
    if lock.rows[0][0] != 1:
        raise DriverUnavailable(
            f"Another process has been migrating the database at {place} for {LOCK_SECONDS} s."
        )
    try:
        pending, existing = await _pending(wire, sql, place)
        for step in pending:
            for text in _missing(step, sql, existing):
                await wire.run(text)
        if pending:
            await wire.run(set_version(sql))
        return [step.name for step in pending]
    finally:
        await wire.run(sql.store["unlock"](prefix=prefix))


def set_version(sql: TableStatements) -> str:
    """Return the statement that notes the version of the tables."""
    return sql.store["set_version"](
        version=NEEDED_VERSION,
        usable_from=USABLE_FROM,
        store=Fragment("UNHEX(REPLACE(UUID(), '-', ''))"),
    )


async def _pending(
    wire: Wire, sql: TableStatements, place: str
) -> tuple[Sequence[Step], set[bytes]]:
    existing = await _existing(wire, sql)
    current, usable_from = await _version(wire, sql, existing)
    store = f"The database at {place}"
    return pending_steps(steps(sql), current, store=store, usable_from=usable_from), existing


def _missing(step: Step, sql: TableStatements, existing: set[bytes]) -> list[str]:
    """Return the statements of a step whose tables do not exist yet."""
    made = {text: sql.table(name) for name, text in sql.schema.items()}
    return [text for text in step.statements if made[text] not in existing]
