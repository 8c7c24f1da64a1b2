"""The installed adapters of transactions, and the choice of one for a connection or session."""

import threading
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from asynctasq.contracts.capabilities.transactions import (
    Plan,
    Statement,
    TransactionAdapter,
)
from asynctasq.driverkit.sql.plans import kind_of
from asynctasq.errors import TransactionError

T = TypeVar("T")

_BY_ALIAS: Mapping[type, str] = {str: "django", bool: "django"}
"""Types of values that name a connection, to the framework that finds it by this value."""
_TYPES_KEPT = 256


class Enlisted:
    """A transaction with its adapter: calls can take place in it."""

    __slots__ = ("_adapter", "_busy", "dialect", "given", "is_async", "sees_commit", "transaction")

    def __init__(
        self, transaction: object, adapter: TransactionAdapter, busy: dict[int, object]
    ) -> None:
        """Connect the two.

        Args:
            transaction: the connection, session or alias.
            adapter: of its client.
            busy: the transactions in use, by `id`.
        """
        self.given = transaction
        """The argument of the call, or that of the enclosing block."""
        self.transaction = transaction = adapter.unwrap(transaction)
        self._adapter = adapter
        self._busy = busy
        self.is_async: bool = adapter.is_async(transaction)
        self.sees_commit: bool = adapter.sees_commit(transaction)
        """True if a function can be called after the commit."""
        self.dialect: str = adapter.dialect(transaction)

    def run(self, plan: Plan[T], committed: Callable[[], None] | None = None) -> T:
        """Run a plan in this thread.

        Args:
            plan: of a driver.
            committed: called after the commit, if the client can do that.

        Raises:
            TransactionError: no transaction is open, its client is async, or it is in use.
        """
        if self.is_async:
            plan.close()
            raise TransactionError(
                f"A call without `await` must get a transaction of a sync client, got "
                f"{_described(self.transaction)}. Use the async form of the call, as in "
                f"`await task.dispatch(transaction=...)`."
            )
        with self._in_use():
            answer: T = self._adapter.run(self.transaction, plan, committed)
            return answer

    async def run_async(self, plan: Plan[T], committed: Callable[[], None] | None = None) -> T:
        """Run a plan from a coroutine; one of a sync client blocks the loop, as its other calls do."""
        with self._in_use():
            answer: Any = self._adapter.run(self.transaction, plan, committed)
            done: T = await answer if self.is_async else answer
            return done

    @contextmanager
    def _in_use(self) -> Generator[None]:
        if isinstance(self.transaction, str):  # each thread has its own connection of that name
            yield
            return
        key, token = id(self.transaction), object()
        if self._busy.setdefault(key, token) is not token:
            raise TransactionError(
                f"A transaction must be used by one call at a time, but two use {_described(self.transaction)}. "
                f"Await each call before the next one, instead of gathering them."
            )
        try:
            yield
        finally:
            del self._busy[key]


class TransactionAdapters:
    """The installed adapters; each is created when it is first needed. Several threads can share this object."""

    def __init__(
        self, names: Callable[[], Collection[str]], create: Callable[[str], TransactionAdapter]
    ) -> None:
        """Keep the functions that return the names of installed adapters, and that create one."""
        self._names = names
        self._create = create
        self._made: dict[str, TransactionAdapter] = {}
        self._making = threading.Lock()
        self._by_type: dict[type, str] = {}
        self._busy: dict[int, object] = {}

    def enlist(self, transaction: object) -> Enlisted:
        """Return a transaction with its adapter.

        Raises:
            TransactionError: no installed adapter knows the object.
            PluginError: the adapter cannot be used.
        """
        cls = type(transaction)
        name = self._by_type.get(cls)
        if name is None:
            if len(self._by_type) >= _TYPES_KEPT:
                self._by_type.clear()
            name = self._by_type[cls] = self._name_for(transaction)
        return Enlisted(transaction, self._adapter(name), self._busy)

    def _name_for(self, transaction: object) -> str:
        names = self._names()
        alias = _BY_ALIAS.get(type(transaction))
        tops = (
            [alias]
            if alias
            else [each.__module__.partition(".")[0] for each in type(transaction).__mro__]
        )
        for top in tops:
            if top in names:
                return top
        raise TransactionError(
            f"transaction must be a connection or session of {', '.join(sorted(names))}, got "
            f"{_described(transaction)}. Pass the object that runs the statements of your open transaction. If it "
            f"is one already, install the distribution of asynctasq that has the adapter of its client: "
            f"asynctasq-orm, asynctasq-postgres or asynctasq-mysql."
        )

    def _adapter(self, name: str) -> TransactionAdapter:
        made = self._made.get(name)
        if made is None:
            with self._making:
                made = self._made.get(name) or self._create(name)
                self._made[name] = made
        return made


def no_statements() -> Plan[None]:
    """Plan nothing: running it only makes sure that a transaction is open."""
    yield from _NOTHING


_NOTHING: tuple[Statement, ...] = ()


def _described(transaction: object) -> str:
    if isinstance(transaction, str) and "://" in transaction:
        return "a URL"  # which may have a password
    if type(transaction) in _BY_ALIAS:
        return f"{transaction!r} (a database of Django)"
    return kind_of(transaction)
