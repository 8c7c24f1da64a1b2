"""The adapter of `asyncpg`."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan_async

T = TypeVar("T")


class AsyncpgAdapter:
    """Runs plans on connections, which report no commits."""

    def unwrap(self, transaction: Any) -> Any:
        """Return the connection unchanged."""
        return transaction

    def is_async(self, transaction: Any) -> bool:  # noqa: ARG002  the signature of adapters
        """Return True."""
        return True

    def dialect(self, transaction: Any) -> str:  # noqa: ARG002  the signature of adapters
        """Return `postgresql`."""
        return "postgresql"

    def sees_commit(self, transaction: Any) -> bool:  # noqa: ARG002  the signature of adapters
        """Return False."""
        return False

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
