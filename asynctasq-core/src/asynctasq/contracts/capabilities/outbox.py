"""OUTBOX: messages that wait in a database of the application until a relay sends them to their store.

A dispatch within a transaction of the application adds a row to its database. A relay forwards the row once
the transaction is committed, and then deletes it. Core decides when a row is tried again; a driver only keeps
rows, and lets one relay at a time take them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schema import SchemaState
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.transactions import Plan

OUTBOX_BOUND = 10_000
"""Rows that `Outbox.state` counts, at most."""
REFUSED_AT_ONCE = 100
"""Refused rows that one `Outbox.take` returns, at most."""


@record
class OutboxEntry:
    """A row to add."""

    id: bytes
    """ID of the message, 16 bytes."""
    target: str
    """The store that the message is for: empty for the app's own store, otherwise a text of core."""
    message: bytes
    """The message, packed by core and opaque to drivers."""


@record
class OutboxRow:
    """A row as a relay or an operator receives it."""

    id: bytes
    target: str
    message: bytes
    age: float
    """Seconds since it was added, by the clock of the database."""
    attempts: int = 0
    """How often its store has refused it while it accepted other messages."""
    error: str = ""
    """The error of the last refusal."""
    retry_in: float | None = 0.0
    """Seconds until it is tried again, 0.0 if it may be sent now; None if it was set aside."""


@record
class Refusal:
    """A row that its store has refused."""

    id: bytes
    error: str
    retry_in: float | None
    """Seconds until it is tried again; None to set it aside until an operator decides."""
    is_counted: bool = True
    """False if the store refuses every message, so that this row is not to blame."""


@record
class OutboxState:
    """The rows of an outbox in numbers."""

    waiting: int = 0
    """Rows that are not set aside. `OUTBOX_BOUND` means that or more."""
    set_aside: int = 0
    """Rows that are set aside, with the same bound."""
    oldest: float = 0.0
    """Age of the oldest waiting row in seconds; 0.0 if there is none. Refused rows count, too."""


class Outbox(Protocol):
    """The outbox in one database. An instance is unopened configuration until `open`; making it does no I/O.

    All calls concern the rows of one namespace, belong to the loop of `open`, and
    raise `DriverUnavailable` or `DriverError` as those of a driver do. No call keeps a transaction open.
    """

    dialect: str
    """`postgresql`, `mysql` or `sqlite`."""
    description: str
    """The place of the database, for logs: an absolute path, or a URL whose password is masked."""
    clock_offset: float
    """Seconds added to the clock of the database. Only tests set it."""
    plans_when_open: bool
    """True if `plan_add` compares the database of a transaction with that of the last `open`, so that core opens an
    instance once before it plans. It may be closed again. False for a file, which its path identifies."""

    async def open(self) -> None:
        """Connect. Tables are neither created nor checked."""
        ...

    async def close(self) -> None:
        """Release all resources. Idempotent; never raises."""
        ...

    async def schema(self) -> SchemaState:
        """Return the versions of the tables."""
        ...

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Bring the tables to the needed version, as `SupportsSchema.migrate` does. No row is lost."""
        ...

    def create_statements(self) -> Sequence[str]:
        """Return the statements that create the tables in a database that has none. Needs no `open`.

        They are for tools that manage the schema of an application, and contain the version of the tables, too.
        """
        ...

    def plan_add(self, entries: Sequence[OutboxEntry]) -> "Plan[list[bool]]":
        """Plan to add rows in a transaction of the application. The instance need not be open.

        The plan raises a `TransactionError` if the transaction is one of another database. The answer has an item for each entry, in order: False if a row with that ID is there already, which
        is no error and changes nothing.
        """
        ...

    async def add(self, entries: Sequence[OutboxEntry]) -> list[bool]:
        """Add rows in a transaction of their own, all or none. Answers as `plan_add` does."""
        ...

    async def take(
        self, target: str, *, holder: bytes, lease: float, limit: int
    ) -> list[OutboxRow]:
        """Return the next rows of a target, for one relay at a time.

        The first relay that takes rows of a target holds the target for `lease` seconds. Each further call of
        the same holder renews that. For others, the answer is empty meanwhile. The rows stay where they are.

        The first rows are up to `limit` that were never refused, in order of their IDs. Up to
        `REFUSED_AT_ONCE` refused rows follow whose pause has passed, the longest due first. A call returns
        fewer rows if they have more than `BYTES_AT_ONCE` bytes. A row that cannot be read is returned, too:
        core sets it aside.

        Args:
            target: as it was given to `plan_add`.
            holder: 16 bytes that no other relay has.
            lease: seconds, by the clock of the database.
            limit: rows.
        """
        ...

    async def release(self, target: str, *, holder: bytes) -> None:
        """Let other relays take rows of a target, if `holder` holds it."""
        ...

    async def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Keep the error of each row and the time of its next attempt, and count those attempts that count."""
        ...

    async def delete(self, ids: Sequence[bytes]) -> list[bool]:
        """Delete rows that were sent or that an operator gives up; False for an ID without a row."""
        ...

    async def retry(self, ids: Sequence[bytes]) -> list[bool]:
        """Let rows be sent at once, with attempts counted from zero; False for an ID without a row."""
        ...

    async def state(self) -> OutboxState:
        """Count the rows, each number up to `OUTBOX_BOUND`."""
        ...

    async def rows(
        self, *, set_aside: bool | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[OutboxRow]:
        """Return a page of rows in order of their IDs.

        Args:
            set_aside: True for the rows that are set aside, False for those that wait, None for both.
            limit: rows.
            cursor: of the page before.
        """
        ...


@runtime_checkable
class SupportsOutbox(Protocol):
    """OUTBOX. The driver's database can hold an outbox."""

    def outbox(self) -> Outbox:
        """Return an unopened outbox in the driver's database, with the driver's namespace.

        It shares the settings of the driver and nothing else: neither of them has to be open for the other.
        The database may be that of an application, without a queue in it.
        """
        ...
