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


def run_plan(plan: Plan[T], execute: Callable[[Statement], Sequence[Row]]) -> T:
    """Run a plan to its answer. An error of a statement ends the plan and is raised unchanged.

    Args:
        plan: of a driver; not started.
        execute: executes a statement and returns its rows; none for a statement without rows.
    """
    try:
        statement = next(plan)
        while True:
            statement = plan.send(execute(statement))
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
            rows = await execute(statement)
            statement = plan.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        plan.close()


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
