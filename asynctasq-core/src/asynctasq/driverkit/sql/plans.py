"""Plans of calls in a transaction of the application: running them, and their statements.

`SupportsTransactions` describes plans. An adapter gives these functions one that executes a statement.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.errors import TransactionError

T = TypeVar("T")

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_COMMENT = re.compile(r"--.*")
_MISSING_IN_POSTGRES = frozenset({"42P01", "3F000", "42883"})
"""SQLSTATEs for a table, a schema and a function."""
_MISSING_IN_MYSQL = 1146


def run_plan(plan: Plan[T], execute: Callable[[Statement], Sequence[Row]]) -> T:
    """Run a plan to its answer. An error of a statement ends the plan, which may raise another one in its place.

    The error gets a note if the database lacks the tables.

    Args:
        plan: of a driver; not started.
        execute: executes a statement and returns its rows; none for a statement without rows.
    """
    try:
        statement = next(plan)
        while True:
            try:
                rows = execute(statement)
            except Exception as error:
                _fail(plan, error)
                raise
            statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        plan.close()


async def run_plan_async(
    plan: Plan[T], execute: Callable[[Statement], Awaitable[Sequence[Row]]]
) -> T:
    """Run a plan like `run_plan`, on a client that is async."""
    try:
        statement = next(plan)
        while True:
            try:
                rows = await execute(statement)
            except Exception as error:
                _fail(plan, error)
                raise
            statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        plan.close()


def is_table_missing(error: BaseException) -> bool:
    """Return whether a statement failed because the database lacks a table, a schema or a function.

    The error may be of any client, and may be the cause of one that a framework has raised.
    """
    found: BaseException | None = error
    while found is not None:
        if str(getattr(found, "sqlstate", "")) in _MISSING_IN_POSTGRES:
            return True
        if str(found).startswith("no such table"):  # SQLite has no code for it
            return True
        if found.args and type(found.args[0]) is int and found.args[0] == _MISSING_IN_MYSQL:
            return True
        found = found.__cause__
    return False


def _fail(plan: Plan[Any], error: Exception) -> None:
    """End a plan with the error of its statement."""
    if is_table_missing(error):
        error.add_note(
            "The database of this transaction lacks tables of asynctasq. If it is the database of the setting "
            "`driver` or `outbox`, run `asynctasq migrate`. Otherwise, pass a transaction of that database."
        )
    plan.throw(error)


def named_statement(sql: str, parameters: Mapping[str, Any]) -> Statement:
    """Return a statement whose text has parameters like `:name`, each used any number of times."""
    parts, names = _split(sql)
    return Statement(parts, tuple([parameters[name] for name in names]))


@lru_cache(maxsize=256)
def _split(sql: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pieces = _PARAMETER.split(_COMMENT.sub("", sql))
    return tuple(pieces[::2]), tuple(pieces[1::2])


def no_transaction(what: str, begin: str) -> TransactionError:
    """Return the error for a connection without an open transaction.

    Args:
        what: the connection or session, for example `The sqlite3 connection`.
        begin: code that begins a transaction.
    """
    return TransactionError(
        f"{what} must be in a transaction, but none is open. Begin one, as in `{begin}`."
    )


def wrong_transaction(wanted: str, given: object) -> TransactionError:
    """Return the error for an object that is neither a connection nor a session.

    Args:
        wanted: the objects that are accepted, for example `a connection of asyncpg`.
        given: the object, such as a pool, a cursor or an engine.
    """
    return TransactionError(
        f"transaction must be {wanted}, got {kind_of(given)}. Pass the object that runs the statements of your "
        f"open transaction."
    )


def kind_of(given: object) -> str:
    """Return the class of an object for an error; for a class, its name."""
    kind = "the class" if isinstance(given, type) else "an instance of"
    named = given if isinstance(given, type) else type(given)
    return f"{kind} {named.__module__}.{named.__qualname__}"


def other_database(wanted: str, found: str) -> TransactionError:
    """Return the error for a transaction of another database than the driver's.

    Args:
        wanted: the database of the driver, without a password.
        found: the database of the transaction.
    """
    return TransactionError(
        f"The transaction must be of the driver's database, {wanted}, got one of {found}. Pass a connection "
        f"to that database, or set `outbox` to the database of your application."
    )
