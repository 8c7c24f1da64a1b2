"""The running task, as its own code sees it: `current_task()`."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from asynctasq.errors import TransactionError
from asynctasq.records import record


class AttemptScope(Protocol):
    """The state and the cleanups of an attempt."""

    state: dict[object, Any]

    def add_cleanup(self, close: Callable[[], object]) -> None: ...


class Completion(Protocol):
    """Completes an attempt in a transaction."""

    async def complete(self, transaction: object, result: object) -> None: ...

    def complete_sync(self, transaction: object, result: object) -> None: ...


@record
class CurrentTask:
    """The attempt that runs this code."""

    id: str
    name: str
    queue: str
    attempt: int
    """Number of runs that ended before this one: 0 on the first."""
    max_attempts: int
    dispatched_at: datetime
    headers: Mapping[str, str] = field(hash=False)
    resources: Any = field(hash=False)
    """The value that the app's `lifespan` yielded in this worker; None without one."""
    models: Sequence[object] = field(hash=False, repr=False)
    """The models among the arguments, each once, as they were loaded."""
    _report: Callable[[object], None] = field(hash=False, repr=False)
    _is_interrupted: Callable[[], bool] = field(hash=False, repr=False)
    _scope: Callable[[], "AttemptScope"] = field(hash=False, repr=False)
    _waiting: Callable[[bytes], AbstractAsyncContextManager[None]] | None = field(
        default=None, hash=False, repr=False
    )
    """Surrounds each wait for the result of another task."""
    _completion: Completion | None = field(default=None, hash=False, repr=False)
    scheduled_for: datetime | None = None
    """The time at which a schedule planned this run (aware, UTC), however late it runs; None without a schedule."""

    @property
    def state(self) -> dict[object, Any]:
        """A dict for libraries that belongs to this attempt; discarded at its end."""
        return self._scope().state

    def add_cleanup(self, close: Callable[[], object]) -> None:
        """Call a function when the task's code has ended, however it ended. The last one added runs first.

        It runs where that code ran: in its thread or process, or on its event loop, where it may be async.
        An error that it raises is logged, and changes nothing.
        """
        self._scope().add_cleanup(close)

    @property
    def cancelled(self) -> bool:
        """True if the task should end early: cancelled, timed out, its lease lost, or the worker stops.

        This is for code that cannot be interrupted, above all a `SyncTask` in its thread: it may check
        this now and then, and return or raise. An exception that it then raises is discarded. A return
        value counts, except after a timeout.
        """
        return self._is_interrupted()

    def check_cancelled(self) -> None:
        """Raise if the task should end early.

        Raises:
            asyncio.CancelledError: it should; `except Exception` does not catch this.
        """
        if self._is_interrupted():
            raise CancelledError

    async def complete(self, *, transaction: object = None, result: object = None) -> None:
        """Complete the task in a transaction of the application, together with its work.

            async with session.begin():
                order.paid = True
                await current_task().complete(transaction=session)

        If the transaction is committed, the task is completed, even if the worker crashes right after it. If it
        is rolled back, the attempt has failed. The return value of the task no longer counts: `result` does.

        Args:
            transaction: an open transaction in the driver's database, as for `BaseTask.dispatch`. It may be left
                out within `asynctasq.transaction(...)`.
            result: the result of the task.

        Raises:
            LeaseLost: the task is not this worker's any more, or was completed already. Roll the transaction
                back.
            TransactionError: the transaction cannot be used, or this is a process task.
            CapabilityMissing: the driver cannot take part in transactions.
        """
        await self._for_completion().complete(transaction, result)

    def complete_sync(self, *, transaction: object = None, result: object = None) -> None:
        """Complete the task like `complete`, in a `SyncTask` with a transaction of a sync client."""
        self._for_completion().complete_sync(transaction, result)

    def _for_completion(self) -> Completion:
        if self._completion is None:
            raise TransactionError(
                "complete() must be called in a task on the event loop or in a thread, got a process task. "
                "The lease of the task is in another process."
            )
        return self._completion

    def report(self, progress: object) -> None:
        """Report progress; `handle.progress()` returns the last report within about a second.

        The call returns at once, from any thread. If the value cannot be serialized, reading it raises.

        Raises:
            CapabilityMissing: the worker's driver does not store progress.
        """
        self._report(progress)


running_task: ContextVar[Callable[[], CurrentTask] | None] = ContextVar(
    "asynctasq_running_task", default=None
)
"""Makes the `CurrentTask`, which most tasks never need."""


def current_task() -> CurrentTask:
    """Return the task that runs this code.

    Raises:
        LookupError: no task runs this code.
    """
    make = running_task.get()
    if make is None:
        raise LookupError("current_task() must be called inside a running task.")
    return make()


def waiting_for_result(message_id: bytes) -> AbstractAsyncContextManager[None]:
    """Surround a wait for the result of a message, so that a worker knows the waits of its tasks."""
    make = running_task.get()
    waiting = None if make is None else make()._waiting
    return nullcontext() if waiting is None else waiting(message_id)
