"""The tables of the outbox in an SQLite file: their version, and the steps that create them."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from asynctasq.contracts.capabilities.schema import SchemaState
from asynctasq.driverkit.sql import Step, pending_steps
from asynctasq.drivers.sqlite.database import statements, take_steps
from asynctasq.drivers.sqlite.queries import queries, script

STEPS = (Step("outbox_1", statements(script("outbox_1"))),)
"""The scripts that lead to each version of the tables, from the first."""
NEEDED_VERSION = len(STEPS)

_VERSION = queries("outbox")["version"]


def schema_state(connection: sqlite3.Connection) -> SchemaState:
    """Return the version of the tables in a file, and the one that this release needs."""
    version: object = 0
    with suppress(sqlite3.OperationalError):  # there is no such table
        [(version,)] = connection.execute(_VERSION).fetchall()
    return SchemaState(version if type(version) is int else 0, NEEDED_VERSION)


def migrate(connection: sqlite3.Connection, place: str, *, dry_run: bool = False) -> list[str]:
    """Bring the tables to the needed version, in one transaction.

    Returns:
        The names of the steps taken; with `dry_run`, the statements that would be executed.

    Raises:
        DriverError: the tables were made by a newer release.
    """
    return take_steps(connection, lambda: _pending(connection, place), dry_run=dry_run)


def _pending(connection: sqlite3.Connection, place: str) -> Sequence[Step]:
    return pending_steps(STEPS, schema_state(connection).current, store=place)
