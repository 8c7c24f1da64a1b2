"""Handles of dispatched tasks."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from asynctasq.errors import TransactionError
from asynctasq.message import CancelOutcome, State
from asynctasq.runtime import current_dispatcher
from asynctasq.transaction_scope import scope_here

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ResultSource(Protocol):
    """The store of a task, as its handle sees it."""

    async def result(self, task_id: str, *, timeout: float | None) -> object: ...

    async def status(self, task_id: str, *, transaction: object = None) -> State: ...

    def status_sync(self, task_id: str, *, transaction: object = None) -> State: ...

    async def cancel(self, task_id: str, *, transaction: object = None) -> CancelOutcome: ...

    def cancel_sync(self, task_id: str, *, transaction: object = None) -> CancelOutcome: ...

    async def progress(self, task_id: str) -> object: ...

    def call_sync(self, make: Callable[[], Coroutine[Any, Any, T]], *, instead: str) -> T: ...


class Handle(str, Generic[T_co]):
    """The id of a dispatched task as text (a UUID), with methods that ask the store about the task.

    `created` is False if the dispatch added no message, because the caller's id was known or the unique key
    was held. The handle is then that of the message that exists.

    The methods that end in `_sync` are for code without an event loop, such as WSGI views. They raise
    `RuntimeError` if an event loop runs in the thread.
    """

    __slots__ = ("_source", "created")

    created: bool
    _source: ResultSource

    @classmethod
    def of(cls, task_id: str, source: ResultSource, *, created: bool = True) -> Self:
        """Return the handle of a task."""
        self = cls(task_id)  # takes half the time of a `__new__` in Python
        self._source = source
        self.created = created
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Pickle the handle as its plain id: the connection to the store cannot be pickled."""
        return str, (str(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<Handle {self!s}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Describe handles to pydantic, and so to FastAPI: a handle is its id as text.

        When pydantic reads such a text, it becomes a handle of the app in use.
        """
        from pydantic_core import core_schema

        from_text = core_schema.no_info_after_validator_function(
            _handle_of, core_schema.str_schema()
        )
        either = core_schema.union_schema([core_schema.is_instance_schema(cls), from_text])
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=either,
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema()
            ),
            metadata={"pydantic_js_updates": {"format": "uuid"}},
        )

    async def result(self, *, timeout: float | timedelta | None = None) -> T_co:
        """Wait until the task has ended, and return its result.

        Args:
            timeout: seconds to wait at most, or a `timedelta`; None waits forever.

        Raises:
            TaskFailed: it is dead; the exception has the reason, the error and the traceback.
            TaskCancelled: it was cancelled.
            ResultTimeout: it has not ended in time; it continues.
            ResultNotSerializable: it completed, but its return value could not be stored.
            ModelNotFound: it completed, but a model in its return value was deleted.
            ResultUnknown: it ended and its outcome was forgotten, or it was never dispatched.
            CapabilityMissing: the driver does not store results.
            TypeError: `timeout` is neither a number nor a `timedelta`.
            ValueError: `timeout` is not a number (NaN).
            TransactionError: the task was dispatched in the enclosing `transaction(...)`, before whose
                commit it cannot run.
        """
        scope = scope_here()
        if scope is not None and self in scope.dispatched:
            raise TransactionError(
                f"The result of task {self!s} must be awaited after its transaction, got a call within: before "
                f"the commit, no worker can see the task. Await it behind the block."
            )
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if not isinstance(seconds, int | float | None):
            raise TypeError(
                f"result(): timeout must be a number of seconds or a timedelta, got {timeout!r}."
            )
        if seconds is not None and seconds != seconds:  # noqa: PLR0124  only NaN differs from itself
            raise ValueError(
                "result(): timeout must be a number of seconds or a timedelta, got nan."
            )
        return cast("T_co", await self._source.result(self, timeout=seconds))

    async def status(self, *, transaction: object = None) -> State:
        """Return the state of the task.

        Args:
            transaction: an open transaction in the driver's database, as for `BaseTask.dispatch`.

        Raises:
            ResultUnknown: it ended and its outcome was forgotten, or it was never dispatched.
            CapabilityMissing: the driver cannot inspect messages, or not in a transaction.
            TransactionError: the transaction cannot be used.
        """
        return await self._source.status(self, transaction=transaction)

    async def cancel(self, *, transaction: object = None) -> CancelOutcome:
        """Cancel the task: at once if it waits, within a second if it runs. The outcome says which.

        Args:
            transaction: an open transaction in the driver's database, as for `BaseTask.dispatch`. The
                task is cancelled at the commit.

        Raises:
            CapabilityMissing: the driver cannot cancel tasks, or not in a transaction.
            TransactionError: the transaction cannot be used.
        """
        return await self._source.cancel(self, transaction=transaction)

    async def progress(self) -> object:
        """Return the last progress report of the running task (`current_task().report(...)`), if any.

        Raises:
            CapabilityMissing: the driver does not store progress.
        """
        return await self._source.progress(self)

    # For code without an event loop.

    def result_sync(self, *, timeout: float | timedelta | None = None) -> T_co:
        """Wait until the task has ended, and return its result; raises as `result` does."""
        return self._source.call_sync(
            lambda: self.result(timeout=timeout), instead="`await handle.result()`"
        )

    def status_sync(self, *, transaction: object = None) -> State:
        """Return the state of the task; raises as `status` does."""
        return self._source.status_sync(self, transaction=transaction)

    def cancel_sync(self, *, transaction: object = None) -> CancelOutcome:
        """Cancel the task; raises as `cancel` does."""
        return self._source.cancel_sync(self, transaction=transaction)

    def progress_sync(self) -> object:
        """Return the last progress report of the task; raises as `progress` does."""
        return self._source.call_sync(self.progress, instead="`await handle.progress()`")


def _handle_of(text: str) -> Handle[Any]:
    """Return the handle of an id; raises ValueError if it is not a UUID."""
    handle: Handle[Any] = current_dispatcher().handle(text)
    return handle
