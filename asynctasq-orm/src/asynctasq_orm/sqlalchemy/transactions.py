"""The adapter of transactions: calls take place in a session or connection of SQLAlchemy."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.driverkit.sql import no_transaction, run_plan, wrong_transaction
from asynctasq.errors import TransactionError
from asynctasq_orm.sqlalchemy.commits import call_after_commit

T = TypeVar("T")

Transaction: TypeAlias = Session | Connection | AsyncSession | AsyncConnection

DIALECTS = {"mariadb": "mysql"}
"""Names of dialects that another one speaks, too."""


class SqlalchemyAdapter:
    """Runs plans in sessions, which report their commits, and on connections, which do not."""

    def unwrap(self, transaction: Any) -> Transaction:
        """Return the session of this thread or task if a scoped session was given.

        Raises:
            TransactionError: the object is another one, such as an engine or a session maker.
        """
        if isinstance(transaction, scoped_session | async_scoped_session):
            session: Session | AsyncSession = transaction()
            return session
        if not isinstance(transaction, Session | Connection | AsyncSession | AsyncConnection):
            raise wrong_transaction("a session or connection of SQLAlchemy", transaction)
        return transaction

    def is_async(self, transaction: Transaction) -> bool:
        """Return whether the engine is async."""
        return isinstance(transaction, AsyncSession | AsyncConnection)

    def dialect(self, transaction: Transaction) -> str:
        """Return the name of the dialect."""
        on = (
            transaction.get_bind()
            if isinstance(transaction, Session | AsyncSession)
            else transaction
        )
        return DIALECTS.get(on.dialect.name, on.dialect.name)

    def sees_commit(self, transaction: Transaction) -> bool:
        """Return whether it is a session."""
        return isinstance(transaction, Session | AsyncSession)

    def run(
        self, transaction: Transaction, plan: Plan[T], committed: Callable[[], None] | None
    ) -> T | Coroutine[Any, Any, T]:
        """Run a plan if a transaction is open."""
        if not transaction.in_transaction():
            raise _none_open(transaction)
        match transaction:
            case AsyncSession():
                return transaction.run_sync(
                    partial(_run_in_session, plan=plan, committed=committed)
                )
            case AsyncConnection():
                return transaction.run_sync(partial(_run_on_connection, plan=plan))
            case Session():
                return _run_in_session(transaction, plan=plan, committed=committed)
            case Connection():
                return _run_on_connection(transaction, plan=plan)


def _run_in_session(session: Session, *, plan: Plan[T], committed: Callable[[], None] | None) -> T:
    answer = _run_on_connection(session.connection(), plan=plan)
    if committed is not None:
        call_after_commit(session, committed)
    return answer


def _run_on_connection(connection: Connection, *, plan: Plan[T]) -> T:
    if _is_autocommit(connection):
        raise TransactionError(
            f"The {type(connection).__name__} of SQLAlchemy must be in a transaction, but it is in autocommit "
            f"mode: the database commits each statement at once. Use an isolation level other than AUTOCOMMIT."
        )
    style = connection.dialect.paramstyle

    def execute(statement: Statement) -> Sequence[Row]:
        text, parameters = statement.render(style)
        found = dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
        with connection.exec_driver_sql(text, found) as result:
            return result.fetchall() if result.returns_rows else ()

    return run_plan(plan, execute)


def _is_autocommit(connection: Connection) -> bool:
    """Return whether each statement is committed at once, though SQLAlchemy counts a transaction as open."""
    options = connection.get_execution_options()
    level = options.get("isolation_level")
    if level is not None:
        return str(level).upper() == "AUTOCOMMIT"
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        # Without an isolation level, the application sends BEGIN itself.
        driver: Any = connection.connection.driver_connection
        return raw.isolation_level is None and not driver.in_transaction
    detect = getattr(connection.dialect, "detect_autocommit_setting", None)  # since 2.0.43
    return detect is not None and bool(detect(raw))


def _none_open(transaction: Transaction) -> Exception:
    name = type(transaction).__name__
    block = "async with" if isinstance(transaction, AsyncSession | AsyncConnection) else "with"
    given = "session" if isinstance(transaction, AsyncSession | Session) else "connection"
    return no_transaction(f"The {name} of SQLAlchemy", f"{block} {given}.begin():")
