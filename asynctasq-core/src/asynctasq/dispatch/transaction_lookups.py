"""The calls of handles that take place in a transaction of the application: cancel and status."""

from typing import Protocol

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.checking import name_of
from asynctasq.contracts.capabilities.transactions import SupportsTransactions
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.driver_override import are_drivers_overridden
from asynctasq.driverkit.sql import other_database
from asynctasq.errors import CapabilityMissing
from asynctasq.message import CancelOutcome, State
from asynctasq.transaction_adapters import Enlisted, TransactionAdapters
from asynctasq.transaction_scope import transaction_for


def transactional(
    driver: Driver, dialect: str, *, call: str, otherwise: str
) -> SupportsTransactions:
    """Return a driver whose calls can take place in a transaction of that dialect.

    Args:
        driver: of the task.
        dialect: of the transaction.
        call: the call, for an error.
        otherwise: what the caller can do without `outbox`, for an error.

    Raises:
        CapabilityMissing: it cannot take part in transactions.
        TransactionError: its database is of another kind.
    """
    if Capability.TRANSACTIONS not in driver.capabilities or not isinstance(
        driver, SupportsTransactions
    ):
        raise CapabilityMissing(
            f"{call} needs the capability TRANSACTIONS, which {name_of(driver)} does not have. Set "
            f"`outbox` to the database of your application, or {otherwise}."
        )
    if driver.dialect != dialect:
        raise other_database(f"{driver.dialect} ({driver.description})", dialect)
    return driver


class Planners(Protocol):
    """The drivers of a store that make plans."""

    async def planner(self) -> Driver: ...

    def planner_sync(self) -> Driver: ...


class TransactionLookups:
    """Cancels and finds tasks of one store in transactions. It retries nothing."""

    def __init__(self, planners: Planners, adapters: TransactionAdapters) -> None:
        """Connect the parts.

        Args:
            planners: have the driver that plans the calls.
            adapters: run the plans.
        """
        self._planners = planners
        self._adapters = adapters

    def enlisted(self, given: object) -> Enlisted | None:
        """Return the transaction of a call; None if it takes place outside of one.

        While a sandbox is open, calls use its store, which has no transactions.

        Raises:
            TransactionError: the object is not a transaction, or the block was entered by another task.
        """
        transaction = transaction_for(given)
        if transaction is None or are_drivers_overridden():
            return None
        return self._adapters.enlist(transaction)

    async def cancel(self, message_id: bytes, enlisted: Enlisted) -> CancelOutcome:
        """Cancel a task at the commit. Raises as `transactional` does."""
        planner = _for_cancel(await self._planners.planner(), enlisted)
        return (await enlisted.run_async(planner.plan_cancel([message_id])))[0]

    def cancel_sync(self, message_id: bytes, enlisted: Enlisted) -> CancelOutcome:
        """Cancel a task at the commit, in this thread. Raises as `transactional` does."""
        planner = _for_cancel(self._planners.planner_sync(), enlisted)
        return enlisted.run(planner.plan_cancel([message_id]))[0]

    async def state(self, message_id: bytes, enlisted: Enlisted) -> State | None:
        """Return the state of a task. Raises as `transactional` does."""
        planner = _for_status(await self._planners.planner(), enlisted)
        return (await enlisted.run_async(planner.plan_states([message_id])))[0]

    def state_sync(self, message_id: bytes, enlisted: Enlisted) -> State | None:
        """Return the state of a task, in this thread. Raises as `transactional` does."""
        planner = _for_status(self._planners.planner_sync(), enlisted)
        return enlisted.run(planner.plan_states([message_id]))[0]


def _for_cancel(driver: Driver, enlisted: Enlisted) -> SupportsTransactions:
    return transactional(
        driver,
        enlisted.dialect,
        call="cancel(transaction=...)",
        otherwise="cancel the task after the commit",
    )


def _for_status(driver: Driver, enlisted: Enlisted) -> SupportsTransactions:
    return transactional(
        driver,
        enlisted.dialect,
        call="status(transaction=...)",
        otherwise="look after the commit",
    )
