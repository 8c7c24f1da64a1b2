"""Audit of operations: each one is logged and reported to `on_operation`, after it has succeeded.

with acting_as("alice", where="dashboard"):
    await app.queues.pause("emails")
"""

import getpass
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

from asynctasq.errors import PluginError
from asynctasq.hookspecs import OperationContext
from asynctasq.operations.batches import in_batches
from asynctasq.plugins.observers import Observers
from asynctasq.records import record

T = TypeVar("T")
logger = logging.getLogger("asynctasq.audit")

IDS_LOGGED = 5
"""IDs that a log line names, at most. The hook receives all of them."""


@record
class Operator:
    """The person or program that performs operations."""

    who: str
    where: str


_operator: ContextVar[Operator | None] = ContextVar("asynctasq_operator", default=None)


@contextmanager
def acting_as(who: str = "", *, where: str) -> Iterator[None]:
    """Name the person or program that performs the operations within this block, for the audit.

    Args:
        who: for example the user of a dashboard; empty for the user of this process.
        where: for example `dashboard`. Without such a block it is `api`; the command line is `cli`.
    """
    token = _operator.set(Operator(who or user_here(), where))
    try:
        yield
    finally:
        _operator.reset(token)


@cache
def user_here() -> str:
    """Return the user of this process and its host, as in `alice@web-1`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # for example in a container without a user database
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


class Audit:
    """Reports the operations on the store of one app."""

    def __init__(self, observers: Callable[[], Observers], store: Callable[[], str]) -> None:
        """Make it.

        Args:
            observers: returns the observers of the app; may raise a `PluginError`.
            store: returns the description of the store.
        """
        self._observers = observers
        self._store = store

    async def done(
        self,
        what: str,
        target: Mapping[str, object],
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Report an operation that has succeeded.

        Args:
            what: the name of the operation, such as `queues.pause`.
            target: what it was applied to, such as `{"queue": "emails"}` or `{"ids": [...]}`.
            counts: numbers by outcome.
        """
        operator = _operator.get() or Operator(user_here(), "api")
        context = OperationContext(
            operator.who,
            operator.where,
            what,
            dict(target),
            dict(counts or {}),
            self._store(),
            time.time(),
        )
        _log(context)
        try:
            observers = self._observers()
        except PluginError as error:
            logger.warning("Could not notify on_operation: %s", error)
            return
        if observers.on_operation:
            await observers.notify(observers.on_operation, context)

    async def in_batches(
        self,
        what: str,
        task_ids: Iterable[str],
        act: Callable[[Sequence[bytes]], Awaitable[Sequence[T]]],
        outcome: Callable[[T], str],
        *,
        per_second: float | None = None,
        on_progress: Callable[[Sequence[T]], object] | None = None,
    ) -> list[T]:
        """Call `act` with batches of IDs as `batches.in_batches` does, and report those that were done.

        They are reported together, also if an error or a cancellation has ended the call early.

        Args:
            what: as in `done`.
            task_ids: IDs of tasks.
            act: applies the operation to a batch.
            outcome: names the outcome of one ID, for the counts.
            per_second: as in `batches.in_batches`.
            on_progress: as in `batches.in_batches`.
        """
        ids = list(task_ids)
        answers: list[T] = []

        def note(batch: Sequence[T]) -> None:
            answers.extend(batch)
            if on_progress is not None:
                on_progress(batch)

        try:
            return await in_batches(ids, act, per_second=per_second, on_progress=note)
        finally:
            if answers:
                await self.done(what, {"ids": ids[: len(answers)]}, counted(map(outcome, answers)))


def counted(outcomes: Iterable[str]) -> dict[str, int]:
    """Count outcomes by name."""
    counts: dict[str, int] = {}
    for each in outcomes:
        counts[each] = counts.get(each, 0) + 1
    return counts


def _log(context: OperationContext) -> None:
    parts = [f"{name}={_shown(value)}" for name, value in context.target.items()]
    parts += [f"{name}={count}" for name, count in context.counts.items()]
    logger.info(
        "%s (%s): %s %s",
        context.who,
        context.where,
        context.what,
        " ".join(parts),
        extra={
            "who": context.who,
            "where": context.where,
            "operation": context.what,
            "store": context.store,
        },
    )


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        shown = ",".join(str(each) for each in value[:IDS_LOGGED])
        more = len(value) - IDS_LOGGED
        return f"{shown} and {more} more" if more > 0 else shown
    return str(value)
