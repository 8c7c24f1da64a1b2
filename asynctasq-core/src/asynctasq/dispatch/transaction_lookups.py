"""The calls of handles that take place in a transaction of the application: cancel and status."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.transactions import Plan, SupportsTransactions
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
            f"{call} needs the capability TRANSACTIONS, which {type(driver).__qualname__} does not have. Set "
            f"`outbox` to the database of your application, or {otherwise}."
        )
    if driver.dialect != dialect:
        raise other_database(f"{driver.dialect} ({driver.description})", dialect)
    return driver


class TransactionLookups:
    """Cancels and finds tasks of one store in transactions. It opens nothing, and retries nothing."""

    def __init__(self, driver: Driver, adapters: TransactionAdapters) -> None:
        """Connect the parts.

        Args:
            driver: unopened; plans the calls.
            adapters: run the plans.
        """
        self._driver = driver
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

    def cancel(self, message_id: bytes, enlisted: Enlisted) -> Plan[list[CancelOutcome]]:
        """Plan the cancellation of a task. Raises as `transactional` does."""
        return self._planner(
            enlisted, "cancel(transaction=...)", "cancel the task after the commit"
        ).plan_cancel([message_id])

    def states(self, message_id: bytes, enlisted: Enlisted) -> Plan[list[State | None]]:
        """Plan a look at the state of a task. Raises as `transactional` does."""
        return self._planner(
            enlisted, "status(transaction=...)", "look after the commit"
        ).plan_states([message_id])

    def _planner(self, enlisted: Enlisted, call: str, otherwise: str) -> SupportsTransactions:
        return transactional(self._driver, enlisted.dialect, call=call, otherwise=otherwise)
