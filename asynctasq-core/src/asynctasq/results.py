"""Handles: what a dispatch returns."""

from typing import Generic, Protocol, Self, TypeVar, cast

from asynctasq.message import CancelOutcome, State

T_co = TypeVar("T_co", covariant=True)


class ResultSource(Protocol):
    """Where a handle asks; the app."""

    async def result(self, task_id: str, *, timeout: float | None) -> object: ...

    async def status(self, task_id: str) -> State: ...

    async def cancel(self, task_id: str) -> CancelOutcome: ...

    async def progress(self, task_id: str) -> object: ...


class Handle(str, Generic[T_co]):
    """The id of a dispatched task, as text (a UUID), with which to ask for it.

    `created` is False if the dispatch added nothing, because the id was known or the unique key was
    held: the handle is then that of the message that stands.
    """

    __slots__ = ("_source", "created")

    created: bool
    _source: ResultSource

    @classmethod
    def of(cls, task_id: str, source: ResultSource, *, created: bool = True) -> Self:
        """The handle of a task."""
        self = cls(task_id)  # half the time of a `__new__` in Python
        self._source = source
        self.created = created
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Elsewhere it is the plain id: the way to the store does not travel."""
        return str, (str(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    async def result(self, *, timeout: float | None = None) -> T_co:
        """Wait until the task has ended, and return what it returned.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            TaskFailed: it is dead; carries reason, error and traceback.
            TaskCancelled: it was cancelled.
            ResultTimeout: it has not ended in time; it goes on.
            ResultNotSerializable: it completed, but its return value could not be stored.
            ModelNotFound: it completed, and a model in its return value has no row any more.
            ResultUnknown: it ended and its outcome has been forgotten, or it was never dispatched.
            CapabilityMissing: the driver keeps no results.
        """
        return cast("T_co", await self._source.result(self, timeout=timeout))

    async def status(self) -> State:
        """Where the message is now.

        Raises:
            ResultUnknown: it ended and its outcome has been forgotten, or it was never dispatched.
            CapabilityMissing: the driver cannot tell.
        """
        return await self._source.status(self)

    async def cancel(self) -> CancelOutcome:
        """Finish it if it waits, interrupt it within a second if it runs; says which.

        Raises:
            CapabilityMissing: the driver cannot cancel.
        """
        return await self._source.cancel(self)

    async def progress(self) -> object:
        """What the running task last reported (`current_task().report(...)`); None if nothing.

        Raises:
            CapabilityMissing: the driver keeps no progress.
        """
        return await self._source.progress(self)
