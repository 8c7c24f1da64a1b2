"""The answers to handles, from one driver, by the id of a message."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from asynctasq.contracts.capabilities import (
    Capability,
    Outcome,
    SupportsInspect,
    SupportsProgress,
    SupportsResults,
    require,
)
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.cancelling import cancel
from asynctasq.dispatch.connections import Connection
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.dispatch.result_watcher import CONTINUES, unknown
from asynctasq.dispatch.transaction_lookups import TransactionLookups
from asynctasq.errors import ResultTimeout, TaskCancelled, TaskFailed
from asynctasq.message import CancelOutcome, State, id_from_text
from asynctasq.serializers.codec import Codec

T = TypeVar("T")

EXPLAINED_AT_ONCE = 10
"""Timeouts that are explained at the same time; a program may await thousands of results."""


class DriverSource:
    """Implements `results.ResultSource` with one driver."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        codec: Codec,
        portal: BlockingPortal,
        lookups: TransactionLookups,
        *,
        check_first: bool,
    ) -> None:
        """Make a source.

        Args:
            connect: returns the connection of the running loop.
            codec: decodes results and progress.
            portal: runs calls from code without an event loop.
            lookups: plan calls in transactions.
            check_first: make sure that the store knows a task before its result is awaited. This is not
                needed for tasks that this program has dispatched.
        """
        self._connect = connect
        self._codec = codec
        self._portal = portal
        self._lookups = lookups
        self._check_first = check_first
        self._explaining = 0

    async def result(self, task_id: str, *, timeout: float | None) -> object:
        connection = await self._connect()
        try:
            outcome = await connection.watcher.outcome(
                id_from_text(task_id), timeout, check_first=self._check_first
            )
        except ResultTimeout as error:
            raise await self._explained(error, task_id) from None
        return await _value_of(outcome, task_id, self._codec)

    async def status(self, task_id: str, *, transaction: object = None) -> State:
        message_id = id_from_text(task_id)
        enlisted = self._lookups.enlisted(transaction)
        if enlisted is not None:
            return _known(message_id, await self._lookups.state(message_id, enlisted))
        driver = await self._driver()
        if Capability.INSPECT not in driver.capabilities and isinstance(driver, SupportsResults):
            [outcome] = await driver.results([message_id])
            if outcome is not None:
                return outcome.state
        inspected = require(
            driver,
            Capability.INSPECT,
            SupportsInspect,
            purpose="Asking for the status of a task that has not ended",
        )
        for _ in range(2):  # it may end between the two calls
            [snapshot] = await inspected.find([message_id])
            if snapshot is not None:
                return snapshot.state
            if isinstance(driver, SupportsResults):
                [outcome] = await driver.results([message_id])
                if outcome is not None:
                    return outcome.state
        raise unknown(message_id)

    def status_sync(self, task_id: str, *, transaction: object = None) -> State:
        message_id = id_from_text(task_id)
        enlisted = self._lookups.enlisted(transaction)
        if enlisted is not None:
            return _known(message_id, self._lookups.state_sync(message_id, enlisted))
        return self.call_sync(lambda: self.status(task_id), instead="`await handle.status()`")

    async def cancel(self, task_id: str, *, transaction: object = None) -> CancelOutcome:
        enlisted = self._lookups.enlisted(transaction)
        if enlisted is not None:
            return await self._lookups.cancel(id_from_text(task_id), enlisted)
        return (await cancel(await self._connect(), [id_from_text(task_id)]))[0]

    def cancel_sync(self, task_id: str, *, transaction: object = None) -> CancelOutcome:
        enlisted = self._lookups.enlisted(transaction)
        if enlisted is not None:
            return self._lookups.cancel_sync(id_from_text(task_id), enlisted)
        return self.call_sync(lambda: self.cancel(task_id), instead="`await handle.cancel()`")

    async def progress(self, task_id: str) -> object:
        driver = require(
            await self._driver(),
            Capability.PROGRESS,
            SupportsProgress,
            purpose="Asking for a task's progress",
        )
        [progress] = await driver.progress([id_from_text(task_id)])
        if progress is None:
            return None
        return await self._codec.load_result(progress, what="The progress that the task reported")

    def call_sync(self, make: Callable[[], Coroutine[Any, Any, T]], *, instead: str) -> T:
        return self._portal.call(make, instead=instead)

    async def _explained(self, error: ResultTimeout, task_id: str) -> ResultTimeout:
        """Add to the error why the task has not ended; only to a few at once, because each asks the store."""
        if self._explaining >= EXPLAINED_AT_ONCE:
            return error
        from asynctasq.operations.hints import ENDED, NOT_KNOWN, timeout_hint

        self._explaining += 1
        try:
            hint = await timeout_hint(self._driver, id_from_text(task_id))
        finally:
            self._explaining -= 1
        text = str(error)
        if hint in (ENDED, NOT_KNOWN):
            text = text.replace(CONTINUES, ".")
        return ResultTimeout(f"{text} {hint}") if hint else error

    async def _driver(self) -> Driver:
        return (await self._connect()).driver


def _known(message_id: bytes, state: State | None) -> State:
    if state is None:
        raise unknown(message_id)
    return state


async def _value_of(outcome: Outcome, task_id: str, codec: Codec) -> object:
    if outcome.state is State.COMPLETED:
        return None if outcome.result is None else await codec.load_result(outcome.result)
    if outcome.state is State.CANCELLED:
        raise TaskCancelled(f"Task {task_id} was cancelled.")
    error = outcome.error
    reason = outcome.reason.value if outcome.reason is not None else "unknown"
    described = f": {error.type}: {error.message}" if error is not None else "."
    raise TaskFailed(
        f"Task {task_id} is dead ({reason}){described}",
        reason=reason,
        error_type=error.type if error is not None else "",
        error_message=error.message if error is not None else "",
        traceback=error.traceback if error is not None else "",
    )
