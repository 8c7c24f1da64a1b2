"""The adapter of `pymysql` and of `MySQLdb`, the module of mysqlclient."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan

T = TypeVar("T")

IN_TRANSACTION = 1
"""The flag SERVER_STATUS_IN_TRANS of MySQL's protocol."""


class BlockingAdapter(ConnectionAdapter):
    """Runs plans on connections, which report no commits."""

    def __init__(self, client: str) -> None:
        """Make the adapter of a client, whose module is named."""
        connection: Any = importlib.import_module(f"{client}.connections").Connection
        super().__init__("mysql", connection=connection, client=client)
        self._cursor_class: Any = importlib.import_module(f"{client}.cursors").Cursor

    def run(
        self,
        transaction: Any,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> T:
        """Run a plan if a transaction is open, or begins with the next statement."""
        # MySQLdb has no such attribute: with autocommit, it cannot say whether a transaction is open.
        status = getattr(transaction, "server_status", 0)
        if transaction.get_autocommit() and not status & IN_TRANSACTION:
            raise no_transaction(
                f"The connection of {self._client}", "connection.autocommit(False)"
            )

        def execute(statement: Statement) -> Sequence[Row]:
            with transaction.cursor(self._cursor_class) as cursor:
                cursor.execute(*rendered(statement))
                rows: Sequence[Row] = cursor.fetchall() if cursor.description else ()
                return rows

        return run_plan(plan, execute)


def rendered(statement: Statement) -> tuple[str, tuple[object, ...] | None]:
    """Return the arguments of `execute`. A text without parameters is sent as it is."""
    if not statement.params:
        return "".join(statement.parts), None
    text, parameters = statement.render("format")
    return text, tuple(parameters)
