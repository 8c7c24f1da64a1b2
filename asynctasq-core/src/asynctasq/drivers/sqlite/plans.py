"""Plans of calls in a transaction of the application, on its own connection to the queue file."""

import os
import time
from collections.abc import Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Row
from asynctasq.driverkit.sql import named_statement, other_database
from asynctasq.driverkit.times import micros
from asynctasq.drivers.sqlite.codec import join_ids
from asynctasq.drivers.sqlite.database import file_identity
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_micros, as_state
from asynctasq.drivers.sqlite.settings import SqliteSettings
from asynctasq.drivers.sqlite.steps import Steps
from asynctasq.errors import TransactionError
from asynctasq.message import State

T = TypeVar("T")

_SQL = queries("inspect")
_LAST_OF_MESSAGES = 6
"""The highest number of a state that is not that of an outcome."""


def time_now(clock_offset: float) -> int:
    """Return the time of a call: microseconds since the Unix epoch."""
    return time.time_ns() // 1000 + micros(clock_offset)


def plan_of(settings: SqliteSettings, now: int, steps: Steps[T], *, writes: bool = True) -> Plan[T]:
    """Yield the statements of a call.

    A call that writes does so at first. SQLite waits for the lock of a transaction that has read nothing. It
    refuses the lock at once if another process has written since the transaction first read.

    Raises:
        TransactionError: the connection is to another file.
    """
    yield from check_file(settings.path)
    name = {"name": settings.namespace}
    if writes:
        yield named_statement(_SQL["add_namespace"], name)
    found = yield named_statement(_SQL["namespace"], name)
    bound = {"now": now, "namespace": found[0][0] if found else None}
    rows: Sequence[Row]
    try:
        step = next(steps)
        while True:
            if isinstance(step, str):
                queue = {**bound, "name": step}
                yield named_statement(_SQL["add_queue_if_missing"], queue)
                rows = yield named_statement(_SQL["queue_key"], queue)
            else:
                sql, parameters = step
                rows = yield named_statement(sql, {**bound, **parameters})
            step = steps.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer


def states_of(ids: Sequence[bytes], now: int) -> Steps[list[State | None]]:
    """Return the states of messages and outcomes."""
    joined, index = join_ids(ids)
    states: list[State | None] = [None] * len(ids)
    for place, state, due_at, forget_at in (
        yield _SQL["current_states"], {"ids": joined, "index": index}
    ):
        is_outcome = type(state) is int and state > _LAST_OF_MESSAGES
        if not is_outcome or as_micros(forget_at) > now:
            states[place] = as_state(state, due_at, now)
    return states


def check_file(path: str) -> Plan[None]:
    """Make sure that the connection of a plan is to this file.

    Raises:
        TransactionError: it is to another file.
    """
    rows = yield named_statement(_SQL["file_of_connection"], {})
    wanted = file_identity(path)
    if wanted is None:
        raise TransactionError(
            f"The file {path} must exist before a transaction, but there is none. Create it with "
            f"`asynctasq migrate`."
        )
    found = os.fsdecode(rows[0][0] or "")
    if not found or file_identity(found) != wanted:
        raise other_database(path, found or "a database in memory")
