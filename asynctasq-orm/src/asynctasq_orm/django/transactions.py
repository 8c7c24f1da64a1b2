"""The adapter of transactions: calls take place in `transaction.atomic` of Django."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan
from asynctasq.errors import TransactionError

T = TypeVar("T")


class DjangoAdapter:
    """Runs plans on Django's own connection, which is that of a thread, and is found by the alias of its database."""

    def unwrap(self, transaction: Any) -> str:
        """Return the alias: True means the default database, and a connection its own one.

        Raises:
            TransactionError: Django has no such database, or is not configured.
        """
        alias = DEFAULT_DB_ALIAS if transaction is True else transaction
        if not isinstance(alias, str):
            alias = getattr(alias, "alias", None)
        try:
            aliases = list(connections)
        except ImproperlyConfigured as error:
            raise TransactionError(
                f"transaction must be a connection or session, got {_shown(transaction)}, which selects a database "
                f"of Django, and Django is not configured. Set DJANGO_SETTINGS_MODULE, or pass the object that "
                f"runs the statements of your open transaction."
            ) from error
        if not isinstance(alias, str) or alias not in aliases:
            raise TransactionError(
                f"transaction must be the alias of a database in Django's setting DATABASES "
                f"({', '.join(aliases)}), True for {DEFAULT_DB_ALIAS!r}, or a connection, got {_shown(transaction)}."
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


def _shown(transaction: object) -> str:
    """Return an object for an error, without the password that a URL may have."""
    if isinstance(transaction, str):
        return "a URL" if "://" in transaction else repr(transaction)
    return repr(transaction)


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
