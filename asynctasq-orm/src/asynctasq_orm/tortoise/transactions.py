"""The adapter of transactions: calls take place in `in_transaction()` of Tortoise."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tortoise.backends.base.client import TransactionalDBClient

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan_async, wrong_transaction

T = TypeVar("T")

DIALECTS = {"sqlite": "sqlite", "postgres": "postgresql", "mysql": "mysql"}
"""Tortoise's names of databases, to those of drivers."""


class TortoiseAdapter:
    """Runs plans on the connection of a transaction, which reports no commits."""

    def unwrap(self, transaction: Any) -> TransactionalDBClient:
        """Return the connection that `in_transaction()` yields."""
        if not isinstance(transaction, TransactionalDBClient):
            raise wrong_transaction(
                "the connection that Tortoise's in_transaction() yields", transaction
            )
        return transaction

    def is_async(self, transaction: TransactionalDBClient) -> bool:  # noqa: ARG002  the signature of adapters
        """Return True."""
        return True

    def dialect(self, transaction: TransactionalDBClient) -> str:
        """Return the kind of the database."""
        name = transaction.capabilities.dialect
        return DIALECTS.get(name, name)

    def sees_commit(self, transaction: TransactionalDBClient) -> bool:  # noqa: ARG002  the signature of adapters
        """Return False."""
        return False

    async def run(
        self,
        transaction: TransactionalDBClient,
        plan: Plan[T],
        committed: Callable[[], None] | None,  # noqa: ARG002  the signature of adapters
    ) -> T:
        """Run a plan if the transaction is open."""
        async with transaction.acquire_connection() as raw:
            kind, is_open = _kind_of(raw)
            if not is_open:
                raise no_transaction(
                    "The connection of Tortoise", "async with in_transaction() as connection:"
                )
            return await run_plan_async(plan, kind(raw))


_Execute = Callable[[Statement], Coroutine[Any, Any, Sequence[Row]]]


def _kind_of(raw: Any) -> tuple[Callable[[Any], _Execute], bool]:
    """Return how statements are executed on a client's connection, and whether a transaction is open on it."""
    client = type(raw).__module__.partition(".")[0]
    if client == "aiosqlite":
        return _aiosqlite, raw.in_transaction
    if client == "asyncpg":
        return _asyncpg, raw.is_in_transaction()
    if client == "psycopg":
        return _cursors, raw.info.transaction_status.name == "INTRANS"
    return _cursors, raw.get_transaction_status()


def _aiosqlite(raw: Any) -> _Execute:
    async def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("qmark")
        return [tuple(row) for row in await raw.execute_fetchall(text, tuple(parameters))]

    return execute


def _asyncpg(raw: Any) -> _Execute:
    async def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("numeric_dollar")
        return [tuple(row) for row in await raw.fetch(text, *parameters)]

    return execute


def _cursors(raw: Any) -> _Execute:
    async def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("format")
        async with raw.cursor() as cursor:
            await cursor.execute(text, tuple(parameters))
            return [tuple(row) for row in await cursor.fetchall()] if cursor.description else ()

    return execute
