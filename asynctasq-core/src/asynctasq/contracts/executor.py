"""The contract between core and an executor: how a task's code is run."""

from collections.abc import Awaitable, Callable
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
        """The task, built anew: arguments decoded, models resolved, metadata set.

        Raises:
            BodyError: the arguments cannot be read, or do not fit the signature.
            ModelNotFound: a model has no row any more; `on_missing` says what the task wants of that.
        """
        ...

    def load_now(self) -> BaseTask[Any] | None:
        """As `load`, where nothing has to be fetched for it; None where something has.

        Raises:
            BodyError: the arguments cannot be read, or do not fit the signature.
        """
        ...

    def as_built(self) -> BaseTask[Any]:
        """The task as far as `load` came: where that raised, before or amidst its constructor.

        Its `should_retry` and `failed` are asked on this, so that they hear of such errors too.
        """
        ...

    def encode_result(self, value: object) -> bytes:
        """A return value as stored. Never raises: what cannot be serialized becomes a note of that."""
        ...

    def can_store(self, value: object) -> bool:
        """Check whether a return value can be stored; `encode_result` makes a note of others."""
        ...

    def report_encoded(self, progress: bytes) -> None:
        """Tell how far the task is; encoded as `encode_result` does, by another process perhaps.

        Raises:
            CapabilityMissing: the worker's driver keeps no progress.
        """
        ...

    def note_wait(self, message_id: bytes, *, begins: bool) -> None:
        """Note that the task begins or ends to wait for the result of a message, in another process."""
        ...

    @property
    def attended(self) -> bool:
        """Whether `enter` or `leave` have something to do now; spares the loop two calls."""
        ...

    async def enter(self) -> None:
        """Code of the task is about to run on this loop. Never raises."""
        ...

    async def leave(self) -> None:
        """It has ended: what it has opened is closed, even if this is cancelled. Otherwise never raises."""
        ...

    def run_here(self, function: Callable[[], T]) -> T:
        """Run code of the task in this thread, outside of event loops, with all that is around it."""
        ...

    def explain(self, error: Exception) -> None:
        """Add to an error of the task what is known about it beyond its text. Never raises."""
        ...

    def interrupt(self) -> None:
        """Let the task know that it is to end early: `current_task().cancelled` is true from now on.

        Called by executors that cannot simply cancel it.
        """
        ...


@record
class Returned:
    """The task returned."""

    result: bytes


@record
class Raised:
    """The task raised, and was asked whether to be retried."""

    error: ErrorInfo
    retry: bool
    """What the task's own rule says (`should_retry`, `retry_on`); attempts are counted elsewhere."""
    exception: BaseException | None = None
    """The original, where it was raised in this process."""
    retry_delay: float | None = None
    """Seconds that the task itself asked for (`Retry(delay=)`), instead of what its policy says."""


@record
class Snoozed:
    """The task raised `Snooze`: it is given back, uncounted."""

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
        """Let go of threads or processes. Idempotent."""
        ...

    async def execute(self, call: Call) -> AttemptResult:
        """Run one attempt to its end.

        When the awaiting coroutine is cancelled, the attempt is to be interrupted (cancelled, or
        lost, or the worker stops); an executor that cannot interrupt waits for the end, and then
        returns what the task returned or lets the `CancelledError` through. One that the task's own code raised goes through as well:
        the runner knows whether it asked for an interruption.

        Raises:
            BodyError: from `call.load()`; the runner decides.
        """
        ...

    async def failed(self, call: Call, failure: Failure) -> None:
        """Run the task's `failed` hook, on the same instance where there is one. May raise."""
        ...


Wrapper: TypeAlias = Callable[[Call], Awaitable[AttemptResult]]
"""What `wrap_execute` receives and returns."""
