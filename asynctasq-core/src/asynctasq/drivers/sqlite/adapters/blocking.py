"""The adapter of `sqlite3`."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan

T = TypeVar("T")

BEGIN = 'connection.execute("BEGIN IMMEDIATE")'


class SqliteAdapter:
    """Runs plans on a connection of `sqlite3`, which reports no commits."""

    def unwrap(self, transaction: sqlite3.Connection) -> sqlite3.Connection:
        """Return the connection unchanged."""
        return transaction

    def is_async(self, transaction: sqlite3.Connection) -> bool:  # noqa: ARG002  the signature of adapters
        """Return False."""
        return False

    def dialect(self, transaction: sqlite3.Connection) -> str:  # noqa: ARG002  the signature of adapters
        """Return `sqlite`."""
        return "sqlite"

    def sees_commit(self, transaction: sqlite3.Connection) -> bool:  # noqa: ARG002  the signature of adapters
        """Return False."""
        return False

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
