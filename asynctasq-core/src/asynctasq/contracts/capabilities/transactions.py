"""TRANSACTIONS: calls within a transaction of the application.

A driver describes a call as a *plan*: a generator that yields statements and receives their rows. An adapter
runs the plan on the application's connection. So drivers know no client of a database, and adapters no table.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from asynctasq.contracts.driver import Enqueued
from asynctasq.message import CancelOutcome, Message, State
from asynctasq.records import record
from asynctasq.settlement import Complete, Settled

T = TypeVar("T")

Row: TypeAlias = Sequence[Any]
Parameters: TypeAlias = Sequence[object] | Mapping[str, object]

_STYLES: Mapping[str, str] = {
    "numeric_dollar": "${n}",
    "format": "%s",
    "pyformat": "%(p{n})s",
    "qmark": "?",
    "named": ":p{n}",
}
"""How a client writes the parameter with the number n."""


@record
class Statement:
    """One statement of a plan, independent of how a client writes parameters."""

    parts: tuple[str, ...]
    """The text around the parameters: one part more than there are parameters."""
    params: tuple[object, ...] = ()
    """Values of type int, float, str, bytes or None, or lists of these."""

    def render(self, style: str) -> tuple[str, Parameters]:
        """Return text and parameters in a `paramstyle` of PEP 249, or `numeric_dollar` (`$1`).

        Raises:
            ValueError: `style` is not known.
        """
        if style not in _STYLES:
            raise ValueError(f"style must be one of {', '.join(_STYLES)}, got {style!r}.")
        mark = _STYLES[style]
        doubled = style in ("format", "pyformat")
        parts = [part.replace("%", "%%") for part in self.parts] if doubled else self.parts
        text = parts[0] + "".join(mark.format(n=n) + part for n, part in enumerate(parts[1:], 1))
        if style in ("pyformat", "named"):
            return text, {f"p{n}": value for n, value in enumerate(self.params, 1)}
        return text, self.params


Plan: TypeAlias = Generator[Statement, Sequence[Row], T]
"""Yields statements, is sent the rows of each, and returns the answer of the call."""


@runtime_checkable
class SupportsTransactions(Protocol):
    """TRANSACTIONS. An enqueue takes its times from the dispatch, and appears at the commit.

    Each plan makes sure that the connection leads to the driver's own database, and raises a `TransactionError`
    otherwise. It begins and ends no transaction, and repeats nothing. An adapter throws the error of a statement
    into the plan, which may raise a clearer one and never goes on. A statement that fails must leave the rest of
    the transaction to the application.
    """

    dialect: str
    """`postgresql`, `mysql` or `sqlite`."""
    plans_when_open: bool
    """True if only an open driver can make plans, because it knows its database from there. Core opens it first.
    False for a store that cannot be opened while the application holds a lock on it."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        """Plan an `enqueue`. A known id is skipped without an error that would abort the transaction."""
        ...

    def plan_cancel(self, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
        """Plan a `cancel`."""
        ...

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        """Plan a `settle` of one completion."""
        ...

    def plan_states(self, ids: Sequence[bytes]) -> Plan[list[State | None]]:
        """Plan a look at messages and outcomes: the state of each, or None if the id is not known."""
        ...

    async def committed(self, queues: Sequence[str]) -> None:
        """Wake workers that wait for these queues. A hint: nothing is lost without it."""
        ...


class TransactionAdapter(Protocol):
    """Runs plans on a client's connection. Entry-point group `asynctasq.transactions`.

    The name of the entry point is the top-level module of the connection's class, or of a base class of it.
    """

    def unwrap(self, transaction: Any) -> Any:
        """Return the connection or session that a proxy, or the name of a database, means here.

        The other methods get what this returns. Return a name as a string if the connection differs by thread.
        """
        ...

    def is_async(self, transaction: Any) -> bool:
        """Return whether `run` returns an awaitable for this connection or session."""
        ...

    def dialect(self, transaction: Any) -> str:
        """Return the dialect of the database behind a connection or session, as `SupportsTransactions` has it."""
        ...

    def sees_commit(self, transaction: Any) -> bool:
        """Return whether `run` can have a function called after the commit."""
        ...

    def run(self, transaction: Any, plan: Plan[T], committed: Callable[[], None] | None) -> Any:
        """Run a plan; return its answer, or an awaitable of it if `is_async`.

        Args:
            transaction: the connection or session.
            plan: of a driver. `driverkit.sql` has functions that run it.
            committed: called after the commit if the client can do that, in any thread. It does not block.

        Raises:
            TransactionError: no transaction is open.
        """
        ...
