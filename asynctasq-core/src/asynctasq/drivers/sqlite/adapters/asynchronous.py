"""The adapter of `aiosqlite`, which core does not need: the caller has imported it."""

import importlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import ConnectionAdapter, no_transaction, run_plan_async

T = TypeVar("T")

BEGIN = 'await connection.execute("BEGIN IMMEDIATE")'


class AiosqliteAdapter(ConnectionAdapter):
    """Runs plans on a connection of `aiosqlite`, which reports no commits."""

    def __init__(self) -> None:
        """Make an adapter."""
        connection: Any = importlib.import_module("aiosqlite").Connection
        super().__init__("sqlite", is_async=True, connection=connection, client="aiosqlite")

    def run(
        self,
        transaction: Any,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open."""
        if not transaction.in_transaction:
            raise no_transaction("The aiosqlite connection", BEGIN)

        async def execute(statement: Statement) -> Sequence[Row]:
            text, parameters = statement.render("qmark")
            rows = await transaction.execute_fetchall(text, tuple(parameters))
            return [_plain(row) for row in rows]

        return run_plan_async(plan, execute)


def _plain(row: Any) -> Row:
    """Return a row as a tuple, with any `row_factory` of the connection."""
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)
