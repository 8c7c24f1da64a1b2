"""The adapter of transactions: calls take place in `transaction.atomic` of Django."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan
from asynctasq.errors import TransactionError

T = TypeVar("T")


class DjangoAdapter:
    """Runs plans on Django's own connection, which is that of a thread, and is found by the alias of its database."""

    def unwrap(self, transaction: Any) -> str:
        """Return the alias: True means the default database, and a connection its own one."""
        if transaction is True:
            return str(DEFAULT_DB_ALIAS)
        alias = transaction if isinstance(transaction, str) else getattr(transaction, "alias", None)
        if not isinstance(alias, str) or alias not in connections:
            raise TransactionError(
                f"transaction must be the alias of a database in Django's setting DATABASES "
                f"({', '.join(connections)}), True for {DEFAULT_DB_ALIAS!r}, or a connection, got {transaction!r}."
            )
        return alias

    def is_async(self, transaction: str) -> bool:  # noqa: ARG002  the signature of adapters
        """Return whether an event loop runs in this thread: Django's connections are used in another one then."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    def dialect(self, transaction: str) -> str:
        """Return the kind of the database."""
        return str(connections[transaction].vendor)

    def sees_commit(self, transaction: str) -> bool:  # noqa: ARG002  the signature of adapters
        """Return True."""
        return True

    def run(
        self, transaction: str, plan: Plan[T], committed: Callable[[], None] | None
    ) -> T | Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open; in async code, in the thread of Django's sync code."""
        if not self.is_async(transaction):
            return _run(transaction, plan, committed)
        in_thread: Coroutine[Any, Any, T] = sync_to_async(_run)(transaction, plan, committed)
        return in_thread


def _run(alias: str, plan: Plan[T], committed: Callable[[], None] | None) -> T:
    connection = connections[alias]
    if not connection.in_atomic_block:
        block = "" if alias == DEFAULT_DB_ALIAS else repr(alias)
        raise no_transaction(f"Django's connection {alias!r}", f"with transaction.atomic({block}):")

    def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render("format")
        with connection.cursor() as cursor:
            cursor.execute(text, tuple(parameters))
            rows: Sequence[Row] = cursor.fetchall() if cursor.description else ()
            return rows

    answer = run_plan(plan, execute)
    if committed is not None:
        transaction.on_commit(committed, using=alias, robust=True)
    return answer
