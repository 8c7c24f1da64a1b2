"""The transaction in which calls take place: `async with asynctasq.transaction(...)`."""

import asyncio
import threading
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from asynctasq.errors import TransactionError

T = TypeVar("T")


class TransactionScope:
    """A block whose dispatches, cancellations and looks at a status are part of a transaction.

    It neither begins nor ends the transaction.
    """

    __slots__ = ("_before", "_owner", "dispatched", "transaction")

    def __init__(self, transaction: object) -> None:
        """Make a block. `transaction` is what the argument of `dispatch` is."""
        self.transaction = transaction
        self.dispatched: set[str] = set()
        """IDs of the tasks that were dispatched in the block. No worker sees them before the commit."""
        self._owner: object = None
        self._before: TransactionScope | None = None

    def __enter__(self) -> Self:
        if self._owner is not None:
            raise TransactionError(
                "transaction(...) must be entered once at a time. Call it again for an inner block."
            )
        self._owner = _here()
        self._before = _scope.get()
        _scope.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if _scope.get() is self:  # otherwise another context was entered than is left
            _scope.set(self._before)
        self._owner = self._before = None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def check_owner(self) -> None:
        """Make sure that the task or thread that entered the block calls this.

        Raises:
            TransactionError: another one does, which must not use the connection at the same time.
        """
        if self._owner is None:
            raise TransactionError(
                "The block transaction(...) must be open, but it has ended. Dispatch inside the block, or "
                "start tasks that go on after it before it is entered."
            )
        if self._owner != _here():
            raise TransactionError(
                "A transaction must be used by the task or thread that entered transaction(...), got a call "
                "from another one. A connection serves one at a time: dispatch in the block itself, or give "
                "the other task its own connection."
            )


_scope: ContextVar[TransactionScope | None] = ContextVar(
    "asynctasq_transaction_scope", default=None
)
scope_here = _scope.get
"""Returns the enclosing block; None outside of blocks. It may belong to another task: see `check_owner`."""


def transaction_for(given: object) -> object:
    """Return the transaction of a call: the given one, that of the enclosing block, or None.

    Raises:
        TransactionError: the block was entered by another task or thread, or has ended.
    """
    if given is not None:
        return given
    scope = _scope.get()
    if scope is None:
        return None
    scope.check_owner()
    return scope.transaction


def transaction(transaction: object) -> TransactionScope:
    """Make the dispatches of a block part of a transaction.

        async with session.begin(), asynctasq.transaction(session):
            session.add(order)
            await send_invoice(order.number).dispatch()

    Use `with` in sync code. The block applies to dispatches, and to `cancel` and `status` of handles, of the
    task or thread that enters it. It neither begins nor ends the transaction.

    Args:
        transaction: an open transaction, as for `dispatch(transaction=...)`: a session or connection of
            SQLAlchemy, the alias of a database of Django, or a connection of another client.

    Raises:
        TransactionError: it is None, as the value of `with transaction.atomic() as value` of Django is.
    """
    if transaction is None:
        raise TransactionError(
            "transaction must be a connection, a session or the alias of a database of Django, got None. Pass "
            "the object that runs the statements of your open transaction."
        )
    return TransactionScope(transaction)


async def outside_of_blocks(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine as if no block was entered. Run it as a task, whose context it changes."""
    _scope.set(None)
    return await work


def _here() -> object:
    """Return the running asyncio task; the number of the thread if there is none."""
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:
        return threading.get_ident()
