"""The adapter of `psycopg` 3."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan, run_plan_async

T = TypeVar("T")
Transaction: TypeAlias = Connection[Any] | AsyncConnection[Any]


class PsycopgAdapter(ConnectionAdapter):
    """Runs plans on connections, which report no commits."""

    def __init__(self) -> None:
        """Make an adapter."""
        super().__init__("postgresql", connection=(Connection, AsyncConnection), client="psycopg")

    def is_async(self, transaction: Transaction) -> bool:
        """Return whether the connection is async."""
        return isinstance(transaction, AsyncConnection)

    def run(
        self,
        transaction: Transaction,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> T | Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open, or begins with the next statement."""
        is_idle = transaction.info.transaction_status is TransactionStatus.IDLE
        if is_idle and transaction.autocommit:
            block = "async with" if isinstance(transaction, AsyncConnection) else "with"
            raise no_transaction("The psycopg connection", f"{block} connection.transaction():")
        if isinstance(transaction, AsyncConnection):
            return _run_async(transaction, plan)
        return _run(transaction, plan)


def _run(connection: Connection[Any], plan: Plan[T]) -> T:
    def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("format")
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(text.encode(), tuple(parameters))
            return cursor.fetchall() if cursor.description else ()

    return run_plan(plan, execute)


async def _run_async(connection: AsyncConnection[Any], plan: Plan[T]) -> T:
    async def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("format")
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(text.encode(), tuple(parameters))
            return await cursor.fetchall() if cursor.description else ()

    return await run_plan_async(plan, execute)
