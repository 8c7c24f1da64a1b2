"""The outbox of an app: messages for another store wait in the database of the application.

A dispatch in a transaction adds a row (`plan`). The relay of a worker reads it back (`message_of`).
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.outbox import Outbox, OutboxEntry, OutboxRow, SupportsOutbox
from asynctasq.contracts.capabilities.schema import SchemaState
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.driverkit.packing import not_unicode, pack_message, unpack_message
from asynctasq.driverkit.sql import other_database
from asynctasq.errors import BodyCorrupt, ConfigurationError, DriverError
from asynctasq.message import Message


class AppOutbox:
    """The outbox in the database of the setting `outbox`. Any thread may use it."""

    def __init__(self, driver: Driver) -> None:
        """Keep the driver of the database; nothing is opened.

        Raises:
            ConfigurationError: the driver cannot hold an outbox.
        """
        if Capability.OUTBOX not in driver.capabilities or not isinstance(driver, SupportsOutbox):
            raise ConfigurationError(
                f"outbox must be a database of the application, got "
                f"{driver.description}. Use the URL of an SQLite, PostgreSQL or MySQL database."
            )
        self._driver = driver
        self._planner = driver.outbox()
        self.can_plan = not self._planner.plans_when_open
        """True if `plan` can be called; otherwise await `prepare` first."""
        self._wakes: list[Callable[[], None]] = []

    @property
    def description(self) -> str:
        """The place of the database, without a password."""
        return self._planner.description

    def new(self) -> Outbox:
        """Return an outbox to open, whose tables may be missing."""
        return self._driver.outbox()

    async def open(self) -> Outbox:
        """Return an opened outbox, whose tables this release can use.

        Raises:
            DriverUnavailable: the database could not be reached.
            DriverError: the tables are missing, or were made by another release.
        """
        outbox = self._driver.outbox()
        try:
            await outbox.open()
            _check_tables(await outbox.schema(), self.description)
        except BaseException:
            await outbox.close()
            raise
        return outbox

    def is_needed_for(self, driver: Driver, dialect: str) -> bool:
        """Return whether messages of a store must take the way through the outbox.

        A store that can take part in the transaction itself, because it is in the same database, does so.
        """
        is_same = driver.description == self._driver.description
        return not (
            is_same
            and Capability.TRANSACTIONS in driver.capabilities
            and getattr(driver, "dialect", "") == dialect
        )

    def check_dialect(self, dialect: str) -> None:
        """Make sure that a transaction of that dialect may be one of the database.

        Raises:
            TransactionError: the database is of another kind.
        """
        if dialect != self._planner.dialect:
            raise other_database(f"{self._planner.dialect} ({self.description})", dialect)

    async def prepare(self) -> None:
        """Look up which database it is, so that plans notice a transaction of another one.

        Raises:
            DriverError: the database could not be reached, or its tables are missing.
        """
        if not self.can_plan:
            found = await self.open()
            await found.close()
            self._planner = found
            self.can_plan = True

    def plan(self, target: str, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        """Plan to add messages in a transaction of the application.

        Raises:
            DriverError: a header, the unique key or another name is not valid Unicode.
        """
        entries = [OutboxEntry(each.id, target, _packed(each)) for each in messages]
        return _enqueued(entries, self._planner.plan_add(entries))

    # The relays in this process.

    async def committed(self, queues: Sequence[str]) -> None:
        """Wake the relays of this process: a transaction with messages was committed."""
        del queues  # relays forward the messages of all queues
        for wake in tuple(self._wakes):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """Have `wake` called after each commit in this process, in any thread."""
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)


def _check_tables(state: SchemaState, place: str) -> None:
    if state.current < state.oldest:
        raise DriverError(
            f"The outbox in {place} must have tables of version {state.needed}, got version {state.current}. "
            f"Run `asynctasq migrate`, or the migration of your framework that creates them."
        )


def message_of(row: OutboxRow) -> Message:
    """Return the message of a row, with the times that are left of it.

    Raises:
        BodyCorrupt: the row is damaged.
    """
    message = unpack_message(row.message)
    if message.id != row.id:
        raise BodyCorrupt("The row of the outbox has the message of another one.")
    return as_dispatched_before(message, row.age)


def as_dispatched_before(message: Message, age: float) -> Message:
    """Return a message that was dispatched `age` seconds ago as the store must receive it now."""
    if message.eta is not None:
        late = time.time() - message.eta
    elif message.delay or message.expires is not None:
        late = age - max(message.delay, 0.0)
    else:
        return message
    expires = message.expires
    if expires is not None and late > 0.0:
        expires = max(expires - late, 0.0)
    return replace(message, delay=max(message.delay - age, 0.0), expires=expires)


def _packed(message: Message) -> bytes:
    try:
        return pack_message(message)
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error


def _enqueued(entries: Sequence[OutboxEntry], plan: Plan[list[bool]]) -> Plan[list[Enqueued]]:
    added = yield from plan
    return [Enqueued(entry.id, is_new) for entry, is_new in zip(entries, added, strict=True)]
