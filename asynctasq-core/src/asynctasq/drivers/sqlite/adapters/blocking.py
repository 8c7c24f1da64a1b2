"""The adapter of `sqlite3`."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan

T = TypeVar("T")

BEGIN = 'connection.execute("BEGIN IMMEDIATE")'


class SqliteAdapter(ConnectionAdapter):
    """Runs plans on a connection of `sqlite3`, which reports no commits."""

    def __init__(self) -> None:
        """Make an adapter."""
        super().__init__("sqlite", connection=sqlite3.Connection, client="sqlite3")

    def run(
        self,
        transaction: sqlite3.Connection,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> T:
        """Run a plan if a transaction is open."""
        if not transaction.in_transaction:
            raise no_transaction("The sqlite3 connection", BEGIN)

        def execute(statement: Statement) -> Sequence[Row]:
            cursor = transaction.cursor()
            try:
                cursor.row_factory = None
                text, parameters = statement.render("qmark")
                return cursor.execute(text, tuple(parameters)).fetchall()
            finally:
                cursor.close()

        return run_plan(plan, execute)
