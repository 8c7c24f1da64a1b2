"""The contract between core and an executor: how a task's code is run."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

from asynctasq.message import Delivery
from asynctasq.records import record
from asynctasq.retry import RunPolicy
from asynctasq.settlement import ErrorInfo
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import TaskDefinition

T = TypeVar("T")


class Call(Protocol):
    """One attempt: a delivery with everything that running it takes."""

    delivery: Delivery
    definition: TaskDefinition
    policy: RunPolicy

    async def load(self) -> BaseTask[Any]:
        """Return a new task object: arguments decoded, models resolved, metadata set.

        Raises:
            BodyError: the arguments cannot be read, or do not fit the signature.
            ModelNotFound: a model has no row any more; `on_missing` has the choice of the task.
        """
        ...

    def load_now(self) -> BaseTask[Any] | None:
        """Return the task as `load` does, if nothing has to be fetched for it; None otherwise.

        Raises:
            BodyError: the arguments cannot be read, or do not fit the signature.
        """
        ...

    def as_built(self) -> BaseTask[Any]:
        """Return the task as far as `load` built it, if `load` raised before or in the constructor.

        Its `should_retry` and `failed` are called on this object, so that they handle such errors, too.
        """
        ...

    def encode_result(self, value: object) -> bytes:
        """Return a value as it is stored. Never raises: a value that cannot be serialized becomes a note."""
        ...

    def can_store(self, value: object) -> bool:
        """Check whether a return value can be stored; `encode_result` makes a note of others."""
        ...

    def report_encoded(self, progress: bytes) -> None:
        """Report progress, encoded as `encode_result` does. Another process may have encoded it.

        Raises:
            CapabilityMissing: the worker's driver keeps no progress.
        """
        ...

    def note_wait(self, message_id: bytes, *, begins: bool) -> None:
        """Note that the task begins or ends to wait for the result of a message, in another process."""
        ...

    @property
    def surrounding(self) -> AbstractContextManager[object] | None:
        """A new context manager around `execute` of the task; None if no plugin has one.

        Enter it where the code of the task runs: on this loop, in this thread or in this process.
        """
        ...

    @property
    def attended(self) -> bool:
        """True if `enter` or `leave` has something to do now; saves two calls otherwise."""
        ...

    async def enter(self) -> None:
        """Prepare this loop, on which code of the task is about to run. Never raises."""
        ...

    async def leave(self) -> None:
        """Close everything that the attempt opened, even if this is cancelled. Otherwise never raises."""
        ...

    def run_here(self, function: Callable[[], T]) -> T:
        """Run code of the task in this thread, outside of event loops, within all execution scopes."""
        ...

    def explain(self, error: Exception) -> None:
        """Add a note to an error of the task, if a resolver can explain it. Never raises."""
        ...

    def interrupt(self) -> None:
        """Ask the task to end early: `current_task().cancelled` is true from now on.

        Called by executors that cannot simply cancel it.
        """
        ...


@record
class Returned:
    """The task returned."""

    result: bytes


@record
class Raised:
    """The task raised, and its own rule decided about a retry."""

    error: ErrorInfo
    retry: bool
    """The decision of the task's own rule (`should_retry`, `retry_on`); attempts are counted elsewhere."""
    exception: BaseException | None = None
    """The original, where it was raised in this process."""
    retry_delay: float | None = None
    """Seconds that the task itself requested (`Retry(delay=)`), instead of the delay of its policy."""


@record
class Snoozed:
    """The task raised `Snooze`: it is released, uncounted."""

    delay: float
    """Seconds."""


@record
class Rejected:
    """The task raised `Reject`: it is dead, and its `failed` hook is called."""

    error: ErrorInfo
    exception: BaseException | None = None
    """The original, where it was raised in this process."""


Failure: TypeAlias = Raised | Rejected
AttemptResult: TypeAlias = Returned | Snoozed | Failure


class Executor(Protocol):
    """Runs attempts in one mode."""

    async def start(self, *, concurrency: int) -> None:
        """Make ready for up to `concurrency` attempts at once."""
        ...

    async def stop(self) -> None:
        """Stop all threads or processes. Idempotent."""
        ...

    async def execute(self, call: Call) -> AttemptResult:
        """Run one attempt to its end.

        If the awaiting coroutine is cancelled, interrupt the attempt: its message was cancelled or its
        lease lost, or the worker stops. An executor that cannot interrupt waits for the end, and then
        returns the result of the task or raises the `CancelledError`. Also raise a `CancelledError` of
        the task's own code: the runner knows whether it requested an interruption.

        Raises:
            BodyError: from `call.load()`; the runner decides.
        """
        ...

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the task's `failed` hook, on the same instance where there is one. May raise."""
        ...


Wrapper: TypeAlias = Callable[[Call], Awaitable[AttemptResult]]
"""The function that `wrap_execute` receives and returns."""
