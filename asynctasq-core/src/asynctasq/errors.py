"""Every error that asynctasq raises on purpose, as a tree.

    AsynctasqError
    ├── ConfigurationError            a setting is unknown, of the wrong type, or contradicts another
    ├── PluginError
    │   ├── PluginNotFound            nothing installed answers to that name
    │   ├── PluginConflict            two distributions claim the same kind and name
    │   └── PluginBroken              it is installed, but failed to import, build or agree with the contract
    ├── CapabilityMissing             the driver in use lacks a capability
    ├── TaskDefinitionError           a task class, function or option is not acceptable
    ├── UnknownTask                   no task of that name is registered
    ├── DispatchError
    │   ├── NotSerializable           an argument cannot travel (also a TypeError)
    │   └── MessageTooLarge           the encoded message exceeds the limit (also a ValueError)
    ├── BodyError                     a stored body cannot be read
    │   ├── BodyCorrupt               random or truncated bytes
    │   ├── BodyVersion               written by a release that this one does not know
    │   └── ArgumentsMismatch         the arguments no longer fit the task's signature
    ├── DriverError                   the store refused; repeating the call will not help
    │   ├── MessageTooLargeForStore   the message exceeds the limit of the store (also a MessageTooLarge)
    │   ├── InvalidCursor             a cursor is not one of this listing (also a ValueError)
    │   └── DriverUnavailable         the store cannot be reached now; repeating the call may help
    ├── ChildDied                     the process that ran an attempt died under it
    ├── ExecutorUnavailable           an attempt could not begin: no thread can be started, for example
    ├── TransactionError              a call cannot take place in the transaction that it was given
    ├── LeaseLost                     the running task has lost its lease, or was completed already
    ├── CompletionRolledBack          the transaction that completed a task was rolled back
    ├── TaskTimeout                   an attempt took longer than its `timeout` (also a TimeoutError)
    ├── ModelNotFound                 a model reference has no row any more
    └── ResultError                   awaiting a result ended without one
        ├── TaskFailed                the message is a dead letter
        ├── TaskCancelled             the message was cancelled
        ├── ResultTimeout             no result within the time given (also a TimeoutError)
        ├── ResultNotSerializable     the task completed, but its return value could not be stored
        └── ResultUnknown             never dispatched, or finished and forgotten

If you catch one, you catch those to the right of it, too.
"""


class AsynctasqError(Exception):
    """Base of every error that asynctasq raises on purpose."""


class ConfigurationError(AsynctasqError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class PluginError(AsynctasqError):
    """A plugin cannot be used."""


class PluginNotFound(PluginError):
    """Nothing that is installed answers to this name."""


class PluginConflict(PluginError):
    """Two distributions offer a plugin of the same kind and name."""


class PluginBroken(PluginError):
    """A plugin is installed but failed to import, to build, or to agree with the contract."""


class CapabilityMissing(AsynctasqError):
    """The driver in use lacks the capability for an option or a call."""


class TaskDefinitionError(AsynctasqError):
    """A task class, function or option is not acceptable."""


class UnknownTask(AsynctasqError):
    """No task of this name is registered."""


class DispatchError(AsynctasqError):
    """A task cannot be dispatched; nothing was enqueued."""


class NotSerializable(DispatchError, TypeError):
    """A value cannot travel: no serializer, registered type or model resolver knows it."""


class MessageTooLarge(DispatchError, ValueError):
    """The encoded message exceeds the size limit."""


class BodyError(AsynctasqError):
    """A stored body cannot be turned back into a call."""


class BodyCorrupt(BodyError):
    """The stored bytes are not a body."""


class BodyVersion(BodyError):
    """The body was written by a release that this one does not know."""


class ArgumentsMismatch(BodyError):
    """The stored arguments do not fit the task's signature."""


class DriverError(AsynctasqError):
    """The store refused; repeating the same call will not help."""

    task_ids: tuple[str, ...] = ()
    """Ids of the tasks whose dispatch raised this; empty for other calls.

    A task object keeps its id until a dispatch of it succeeds. If the store knows ids (see `is_idempotent`),
    repeating the dispatch never adds a second message."""
    is_idempotent: bool = True
    """False if the store does not know the ids of its messages, so that a repeated dispatch may add a second one."""

    @property
    def task_id(self) -> str | None:
        """Id of the (first) task whose dispatch raised this; None for other calls."""
        return self.task_ids[0] if self.task_ids else None


class MessageTooLargeForStore(MessageTooLarge, DriverError):
    """The message exceeds the limit of the store, which is lower than the setting `max_message_bytes`."""


class InvalidCursor(DriverError, ValueError):
    """A cursor does not come from a page of the same listing."""


class DriverUnavailable(DriverError):
    """The store cannot be reached or is busy; repeating the same call may help.

    From a dispatch it means that the outcome is unknown: the store may have accepted the task, and only
    its answer was lost.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if not self.task_ids:
            return text
        what = f"task {self.task_ids[0]}"
        if len(self.task_ids) > 1:
            what = f"{len(self.task_ids):,} tasks, {what} among them"
        if self.is_idempotent:
            advice = "Dispatch the same object again: it keeps its id, so nothing is added twice."
        else:
            advice = "If you dispatch the same object again, it may run twice."
        return f"{text} It is unknown whether the store has accepted {what}. {advice}"


class ChildDied(AsynctasqError):
    """The process that ran an attempt died under it; the message names the signal or exit code."""


class ExecutorUnavailable(AsynctasqError):
    """An executor cannot begin an attempt now, for example because no thread can be started.

    The worker releases the message, uncounted, for `retry_after` seconds.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransactionError(AsynctasqError):
    """A call cannot take place in the transaction that it was given; nothing was changed.

    For example, no transaction is open, it belongs to another database, or another task uses it.
    """


class LeaseLost(AsynctasqError):
    """The running task has lost its lease, or was completed already. Roll the transaction back."""


class CompletionRolledBack(AsynctasqError):
    """A task was completed in a transaction that was then rolled back, so that it runs again."""


class TaskTimeout(AsynctasqError, TimeoutError):
    """An attempt took longer than the task's `timeout`."""


class ModelNotFound(AsynctasqError):
    """A model reference points to a row that does not exist.

    `model` and `key` are those of the first such reference; the message names them all.
    """

    on_missing: str | None = None
    """The task's `on_missing` option if the model is one of the task's own arguments; see `OnMissing`."""

    def __init__(self, message: str, *, model: str = "", key: object = None) -> None:
        super().__init__(message)
        self.model = model
        self.key = key


class ResultError(AsynctasqError):
    """Awaiting a result ended without one."""


class TaskFailed(ResultError):
    """The message is a dead letter.

    `reason` is why it died (`failed`, `lost`, `expired`, ...); `error_type`, `error_message` and
    `traceback` are those of the last attempt, empty where no attempt ended.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        error_type: str = "",
        error_message: str = "",
        traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback


class TaskCancelled(ResultError):
    """The message was cancelled."""


class ResultTimeout(ResultError, TimeoutError):
    """No result arrived in time. The task continues."""


class ResultNotSerializable(ResultError):
    """The task completed, but its return value could not be stored."""


class ResultUnknown(ResultError):
    """The message was never dispatched here, or has finished and been forgotten."""
