"""The adapter of `aiomysql` and `asyncmy`, whose connections have the same methods."""

import importlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan_async
from asynctasq_mysql.adapters.blocking import rendered

T = TypeVar("T")


class AsyncAdapter(ConnectionAdapter):
    """Runs plans on connections, which report no commits."""

    def __init__(self, client: str) -> None:
        """Make the adapter of a client, whose module is named."""
        connection: Any = importlib.import_module(f"{client}.connection").Connection
        super().__init__("mysql", is_async=True, connection=connection, client=client)
        self._cursor_class: Any = importlib.import_module(f"{client}.cursors").Cursor

    def run(
        self,
        transaction: Any,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open, or begins with the next statement."""
        if transaction.get_autocommit() and not transaction.get_transaction_status():
            raise no_transaction(f"The connection of {self._client}", "await connection.begin()")

        async def execute(statement: Statement) -> Sequence[Row]:
            async with transaction.cursor(self._cursor_class) as cursor:
                await cursor.execute(*rendered(statement))
                return list(await cursor.fetchall()) if cursor.description else ()

        return run_plan_async(plan, execute)
