"""What running code can ask about its task: `current_task()`."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import field
from datetime import datetime
from typing import Any

from asynctasq.records import record


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
    _report: Callable[[object], None] = field(hash=False, repr=False)
    _is_interrupted: Callable[[], bool] = field(hash=False, repr=False)

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
