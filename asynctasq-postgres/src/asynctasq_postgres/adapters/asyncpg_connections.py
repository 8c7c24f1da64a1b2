"""The adapter of `asyncpg`."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import asyncpg

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan_async

T = TypeVar("T")


class AsyncpgAdapter(ConnectionAdapter):
    """Runs plans on connections, which report no commits."""

    def __init__(self) -> None:
        """Make an adapter."""
        super().__init__(
            "postgresql", is_async=True, connection=asyncpg.Connection, client="asyncpg"
        )

    def run(
        self,
        transaction: Any,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open."""
        if not transaction.is_in_transaction():
            raise no_transaction("The asyncpg connection", "async with connection.transaction():")

        async def execute(statement: Statement) -> Sequence[Row]:
            text, parameters = statement.render("numeric_dollar")
            return [tuple(row) for row in await transaction.fetch(text, *parameters)]

        return run_plan_async(plan, execute)
