"""Completion of tasks in a transaction of the application, which decides whether it counts."""

import logging
import time
from typing import Protocol

from asynctasq.contracts.capabilities import Capability, SupportsInspect
from asynctasq.contracts.capabilities.transactions import SupportsTransactions
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.transaction_lookups import transactional
from asynctasq.errors import DriverError, LeaseLost, TransactionError
from asynctasq.message import Delivery, State, id_to_text
from asynctasq.records import record
from asynctasq.settlement import Complete, Settled
from asynctasq.transaction_adapters import Enlisted, TransactionAdapters
from asynctasq.transaction_scope import transaction_for
from asynctasq.worker.about_writer import AboutWriter

logger = logging.getLogger("asynctasq")


class CompletingCall(Protocol):
    """The part of a call that its completion uses."""

    delivery: Delivery
    started_at: float
    completion: bytes | None

    def encode_result(self, value: object) -> bytes: ...


@record
class EndedRun:
    """A run that ends with its completion."""

    delivery: Delivery
    started_at: float
    ended_at: float


class Completer:
    """Completes tasks of one worker in transactions."""

    def __init__(self, driver: Driver, adapters: TransactionAdapters, *, worker: str) -> None:
        """Connect the parts.

        Args:
            driver: opened; has the leases of the tasks.
            adapters: run the plans.
            worker: ID of the worker, for `about`.
        """
        self._driver = driver
        self._adapters = adapters
        self._about = AboutWriter(worker)

    async def complete(self, call: CompletingCall, transaction: object, result: object) -> None:
        """Complete a task. Raises as `CurrentTask.complete` does."""
        enlisted = enlisted_for_completion(self._adapters, transaction)
        settlement = self._settlement(call, result)
        plan = self._planner(enlisted).plan_complete(settlement)
        self._done(call, settlement, await enlisted.run_async(plan))

    def complete_sync(self, call: CompletingCall, transaction: object, result: object) -> None:
        """Complete a task in this thread. Raises as `CurrentTask.complete_sync` does."""
        enlisted = enlisted_for_completion(self._adapters, transaction)
        settlement = self._settlement(call, result)
        plan = self._planner(enlisted).plan_complete(settlement)
        self._done(call, settlement, enlisted.run(plan))

    async def is_committed(self, call: CompletingCall, *, returned: bool) -> bool:  # noqa: ARG002  for sandboxes
        """Return whether the transaction that completed a task was committed; False if that is not known.

        `returned` is True if the code of the task has returned. If the answer is wrong, nothing is lost: the settlement that follows then finds no lease.
        """
        driver = self._driver
        if Capability.INSPECT not in driver.capabilities or not isinstance(driver, SupportsInspect):
            return False
        try:
            [found] = await driver.find([call.delivery.lease.id])
        except DriverError as error:
            logger.debug("Could not look for the outcome of a completed task: %s", error)
            return False
        return found is None or found.state in {State.COMPLETED, State.CANCELLED}

    def _planner(self, enlisted: Enlisted) -> SupportsTransactions:
        return transactional(
            self._driver,
            enlisted.dialect,
            call="complete(transaction=...)",
            otherwise="let the task return, and make its work repeatable",
        )

    def _settlement(self, call: CompletingCall, result: object) -> Complete:
        delivery = call.delivery
        settlement = Complete(
            delivery.lease, call.encode_result(result), delivery.message.result_ttl
        )
        run = EndedRun(delivery, call.started_at, time.monotonic())
        self._about.attach([(run, settlement)])
        return settlement

    def _done(self, call: CompletingCall, settlement: Complete, answer: Settled) -> None:
        if answer is Settled.DONE:
            call.completion = settlement.result or b""
            return
        task_id = id_to_text(settlement.lease.id)
        if answer is Settled.REFUSED:
            raise DriverError(
                f"Task {task_id} was not completed: the store cannot hold its result. Return less."
            )
        raise LeaseLost(
            f"Task {task_id} cannot be completed: its lease has ended, or it was completed before. Roll the "
            "transaction back: another worker may be running the task."
        )


def enlisted_for_completion(adapters: TransactionAdapters, given: object) -> Enlisted:
    """Return the transaction of a completion: the given one, or that of the enclosing block.

    Raises:
        TransactionError: there is none, or it cannot be used.
    """
    transaction = transaction_for(given)
    if transaction is None:
        raise TransactionError(
            "complete() must get a transaction, got none. Pass `transaction`, or call it inside "
            "`asynctasq.transaction(...)`. Without a transaction, return from the task instead."
        )
    return adapters.enlist(transaction)


class BoundCompletion:
    """Completes one call; implements `tasks.context.Completion`."""

    __slots__ = ("_call", "_completer")

    def __init__(self, completer: "CallCompleter", call: CompletingCall) -> None:
        """Connect the two."""
        self._completer = completer
        self._call = call

    async def complete(self, transaction: object, result: object) -> None:
        """Complete the call. Raises as `CurrentTask.complete` does."""
        await self._completer.complete(self._call, transaction, result)

    def complete_sync(self, transaction: object, result: object) -> None:
        """Complete the call in this thread. Raises as `CurrentTask.complete_sync` does."""
        self._completer.complete_sync(self._call, transaction, result)


class CallCompleter(Protocol):
    """Completes calls in transactions; a sandbox has another one than a worker."""

    async def complete(self, call: CompletingCall, transaction: object, result: object) -> None: ...

    def complete_sync(self, call: CompletingCall, transaction: object, result: object) -> None: ...

    async def is_committed(self, call: CompletingCall, *, returned: bool) -> bool: ...
