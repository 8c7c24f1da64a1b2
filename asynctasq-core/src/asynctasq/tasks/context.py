"""What running code can ask about its task: `current_task()`."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from asynctasq.records import record


class AttemptScope(Protocol):
    """What is around the code of an attempt."""

    state: dict[object, Any]

    def add_cleanup(self, close: Callable[[], object]) -> None: ...


@record
class CurrentTask:
    """The attempt that is running."""

    id: str
    name: str
    queue: str
    attempt: int
    """Runs that have ended before this one: 0 on the first."""
    max_attempts: int
    dispatched_at: datetime
    headers: Mapping[str, str] = field(hash=False)
    resources: Any = field(hash=False)
    """What the app's `lifespan` yielded in this worker; None without one."""
    models: Sequence[object] = field(hash=False, repr=False)
    """The models among its arguments, each once, as they were loaded."""
    _report: Callable[[object], None] = field(hash=False, repr=False)
    _is_interrupted: Callable[[], bool] = field(hash=False, repr=False)
    _surroundings: Callable[[], "AttemptScope"] = field(hash=False, repr=False)
    _waiting: Callable[[bytes], AbstractAsyncContextManager[None]] | None = field(
        default=None, hash=False, repr=False
    )
    """Surrounds each wait for the result of another task."""

    @property
    def state(self) -> dict[object, Any]:
        """A dict of this attempt's own, for libraries; forgotten at its end."""
        return self._surroundings().state

    def add_cleanup(self, close: Callable[[], object]) -> None:
        """Call this when the task's code has ended, however it ended; what was told last is called first.

        It is called where that code ran: in its thread or process, or on its event loop, where it may be
        async. An error of its own is logged, and changes nothing.
        """
        self._surroundings().add_cleanup(close)

    @property
    def cancelled(self) -> bool:
        """Whether the task is to end early: cancelled, timed out, its lease lost, or the worker stops.

        For code that nothing can interrupt, above all a `SyncTask` in its thread: it may look here now
        and then, and return or raise; what it then says is discarded unless it returns. Work that
        it has finished by then counts, but not after a time-out.
        """
        return self._is_interrupted()

    def check_cancelled(self) -> None:
        """Raise if the task is to end early.

        Raises:
            asyncio.CancelledError: it is; `except Exception` lets this through.
        """
        if self._is_interrupted():
            raise CancelledError

    def report(self, progress: object) -> None:
        """Tell how far it is; anyone with the handle can read the last word within a second or so.

        Returns at once, from any thread. A value that cannot be serialized is the reader's error.

        Raises:
            CapabilityMissing: the worker's driver keeps no progress.
        """
        self._report(progress)


running_task: ContextVar[Callable[[], CurrentTask] | None] = ContextVar(
    "asynctasq_running_task", default=None
)
"""Makes the `CurrentTask`: most tasks never ask for it."""


def current_task() -> CurrentTask:
    """The task that this code runs in.

    Raises:
        LookupError: called outside a task.
    """
    make = running_task.get()
    if make is None:
        raise LookupError("current_task() was called outside a running task.")
    return make()


def waiting_for_result(message_id: bytes) -> AbstractAsyncContextManager[None]:
    """Surround a wait for the result of a message, so that a worker knows what its tasks wait for."""
    make = running_task.get()
    waiting = None if make is None else make()._waiting
    return nullcontext() if waiting is None else waiting(message_id)
