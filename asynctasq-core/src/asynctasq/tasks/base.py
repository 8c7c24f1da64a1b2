"""Base classes of tasks: users subclass them, and every dispatched call is an instance of one."""

from collections.abc import Awaitable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import (
    Any,
    ClassVar,
    Generic,
    Never,
    Self,
    TypeVar,
    Unpack,
    cast,
    dataclass_transform,
)

from asynctasq.message import Delivery, id_to_text
from asynctasq.results import Handle
from asynctasq.runtime import current_dispatcher
from asynctasq.tasks.class_definition import check_names, define_class
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.tasks.delivery_fields import delivery_field
from asynctasq.tasks.fields import Fields, fields_of
from asynctasq.tasks.hinted_names import explain_missing, without_hinted_names
from asynctasq.tasks.hints import CALL_ATTRIBUTES
from asynctasq.tasks.options import (
    DispatchOptions,
    Duration,
    check_options,
    check_queue_name,
    check_task_name,
)
from asynctasq.tasks.registry import registry
from asynctasq.tasks.reserved import HOOKS, hidden_method, reserved
from asynctasq.tasks.schedule_options import StoredScheduleOptions
from asynctasq.tasks.showing import shown_call
from asynctasq.tasks.unconfirmed import Unconfirmed

T_co = TypeVar("T_co", covariant=True)


def _is_runnable(cls: "type[BaseTask[Any]]") -> bool:
    """Return whether a class of the user defines `execute`."""
    return hasattr(cls, "_mode") and cls.execute.__module__ != __name__


class _Nothing(Coroutine[Any, Any, None]):
    """A coroutine that does nothing, which `BaseTask.failed` returns.

    Unlike the coroutine of an async function, it may be dropped without a warning: a sync override that
    calls `super().failed(...)` does that.
    """

    def send(self, value: Any, /) -> Never:  # noqa: ARG002  the signature of coroutines
        raise StopIteration

    def throw(self, *error: Any) -> Never:
        raise error[0]

    def close(self) -> None:
        """Do nothing."""

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator promises more than awaiting needs
        return iter(())


set_field = object.__setattr__
"""Sets a field of any task, also of a frozen dataclass.

It does not create the `__dict__` of the instance, which spares Python's garbage collector one object a task.
"""


class BaseTask(Generic[T_co]):
    """A task with its arguments: dispatched by the application, run by a worker.

    Subclass one of `AsyncTask`, `SyncTask`, `AsyncProcessTask` and `SyncProcessTask`. The message holds
    the arguments of the constructor, and the worker calls the constructor again.

    A class without a constructor takes its annotated fields as arguments, as a dataclass does; fields
    without a default are required. A class without annotated fields takes any keyword arguments.
    """

    _definition: ClassVar[TaskDefinition | None] = None
    _fields: ClassVar[Fields | None] = None
    _mode: ClassVar[ExecutionMode]
    _is_async: ClassVar[bool]
    _driver_override: ClassVar[object] = None

    _delivery: Delivery | None = None
    """The delivery that a worker runs; None elsewhere."""
    _task_id: str | None = delivery_field(None, lambda delivery: id_to_text(delivery.message.id))
    """ID of the task; set at its dispatch, and in a worker before any code of the task runs."""
    _current_attempt: int = delivery_field(0, lambda delivery: delivery.attempt)
    """Number of runs that ended before this one: 0 on the first."""
    _dispatched_at: datetime | None = delivery_field(
        None, lambda delivery: datetime.fromtimestamp(delivery.enqueued_at, UTC)
    )
    """Time of the enqueue, by the store's clock (aware, UTC)."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _overrides: DispatchOptions | None = None
    _unconfirmed: Unconfirmed | None = None
    """IDs of earlier dispatches that the store may or may not have accepted."""

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        set_field(self, "_arguments", (args, kwargs))
        return self

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        fields = self._fields
        if fields is not None and type(self).__init__ is not BaseTask.__init__:
            fields = None  # the constructor has checked the arguments
        if fields is not None:
            kwargs = fields.bind(args, kwargs)
            for name, value in fields.missing_values(kwargs):
                setattr(self, name, value)
        elif args:
            raise TypeError(
                f"{type(self).__qualname__}() takes keyword arguments only. Annotate its fields, or "
                f"write an __init__, to pass positional arguments."
            )
        for name, value in kwargs.items():
            if name.startswith("_"):
                raise TypeError(
                    f"{type(self).__qualname__}() got {name!r}: names with a leading underscore are reserved."
                )
            if name in HOOKS:
                raise hidden_method(type(self), name)
            setattr(self, name, value)
        if fields is not None and fields.has_post_init:
            cast("Any", self).__post_init__()

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            check_task_name(name, where=f"The task class {cls.__qualname__}")
        check_names(cls, BaseTask)
        cls._fields = fields_of(cls, BaseTask)
        cls._definition = None
        if _is_runnable(cls):
            cls._definition = define_class(cls, BaseTask, name)
            registry.add(cls._definition)

    def __repr__(self) -> str:
        return shown_call(self, f"task {type(self).__module__}:{type(self).__qualname__}")

    def __dir__(self) -> Iterable[str]:
        return without_hinted_names([*super().__dir__()], type(self))

    def execute(self) -> T_co | Awaitable[T_co]:
        """Do the work. Subclasses define this; the base class determines whether it is async."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")

    def failed(self, exception: Exception) -> Any:  # noqa: ARG002  subclasses use it
        """Handle the final failure of the task; called once. It may be sync or async in subclasses."""
        return _Nothing()

    def should_retry(self, exception: Exception) -> Any:  # noqa: ARG002  subclasses use it
        """Return whether the task should be retried after this error, if it has attempts left.

        It may be sync or async in subclasses. For an exception group it is called with each error of the
        group; the task is retried if it returns True for all of them.
        """
        return True

    @reserved
    def on_queue(self, queue: str) -> Self:
        """Dispatch the task to this queue.

        Raises:
            ValueError: the name is not valid for a queue.
        """
        return self._override(queue=check_queue_name(queue))

    @reserved
    def delay(self, seconds: Duration) -> Self:
        """Delay the task by that many seconds, or by a `timedelta`; 0 means now.

        Raises:
            TypeError: the value is not a duration.
            ValueError: the duration is negative, not finite, or longer than a store can hold.
        """
        return self.options(delay=seconds)

    @reserved
    def retry_after(self, seconds: Duration) -> Self:
        """Wait that many seconds, or a `timedelta`, before a retry.

        Raises:
            TypeError: the value is not a duration.
            ValueError: the duration is negative, not finite, or longer than a store can hold.
        """
        return self.options(retry_delay=seconds)

    @reserved
    def options(self, **options: Unpack[DispatchOptions]) -> Self:
        """Set options of this dispatch; `DispatchOptions` lists their names.

        Raises:
            TypeError: an option is unknown or of the wrong type.
            ValueError: a value is out of range.
        """
        given = cast("Mapping[str, object]", options)
        checked = check_options(given, allowed=DispatchOptions, where="options()")
        return self._override(**cast("DispatchOptions", checked))

    @reserved
    async def dispatch(self, *, transaction: object = None) -> Handle[T_co]:
        """Enqueue the task; returns when the store has it.

        Args:
            transaction: an open transaction of the application, in the database of the driver (or of the
                setting `outbox`): a session or connection of SQLAlchemy, the alias of a database of Django
                (`"default"`), or a connection of another client. The task can start after the commit, and
                a rollback leaves nothing of it. Nothing is retried in it.

        Raises:
            NotSerializable: an argument cannot be serialized.
            MessageTooLarge: arguments and headers exceed `max_message_bytes`.
            CapabilityMissing: the driver does not support an option.
            DriverUnavailable: the store could not be reached, or its answer was lost. Then it is
                unknown whether the store has the message. You can safely dispatch this object again:
                it keeps its id until a dispatch succeeds, so the store cannot have it twice.
            DriverError: the store refused.
            TransactionError: the transaction is not open, or belongs to another database.
        """
        handle: Handle[T_co] = await current_dispatcher().dispatch(self, transaction=transaction)
        return handle

    @reserved
    def dispatch_sync(self, *, transaction: object = None) -> Handle[T_co]:
        """Enqueue the task like `dispatch`, from code without an event loop.

        A `transaction` of a sync client is used in this thread.

        Raises:
            RuntimeError: an event loop runs in this thread. Use `await ….dispatch()`.
        """
        handle: Handle[T_co] = current_dispatcher().dispatch_sync(self, transaction=transaction)
        return handle

    @reserved
    async def schedule(self, name: str, **options: Unpack[StoredScheduleOptions]) -> datetime:
        """Store a schedule that dispatches the task at given times, and return its next time.

            await sync(17).schedule("sync 17", cron="*/5 * * * *", zone="Europe/Berlin")

        The same name again changes the schedule. Workers fire it, with the options of this task.

        Args:
            name: unique in the store, 1 to 200 printable characters.
            options: `cron`, `every` or `at`, and more; see `StoredScheduleOptions`.

        Raises:
            TypeError: an option is unknown or of the wrong type.
            ValueError: a value is out of range, or the task has an option that does not go with a schedule.
            CapabilityMissing: the driver has no schedules.
            DispatchError: the task cannot be dispatched.
            DriverError: the store refused, or could not be reached.
        """
        given = cast("Mapping[str, object]", options)
        next_time: datetime = await current_dispatcher().schedule(self, name, given)
        return next_time

    def _check_fields(self) -> None:
        """Make sure that no field hides a method that the worker will call.

        Raises:
            TaskDefinitionError: one does.
        """
        if not HOOKS.isdisjoint(vars(self)):
            raise hidden_method(type(self), min(HOOKS & vars(self).keys()))

    def _note_dispatch(self, task_id: str, confirmed_by: Unconfirmed) -> None:
        """Set the ID of the task, and where it finds the IDs for its next dispatches."""
        set_field(self, "_task_id", task_id)
        set_field(self, "_unconfirmed", confirmed_by)

    def _override(self, **options: Unpack[DispatchOptions]) -> Self:
        set_field(
            self, "_overrides", {**self._overrides, **options} if self._overrides else options
        )
        return self


explain_missing(BaseTask, CALL_ATTRIBUTES)


@dataclass_transform(field_specifiers=(field,))
class AsyncTask(BaseTask[T_co]):
    """A task whose async `execute` runs on the worker's event loop: for I/O with async libraries."""

    _mode = ExecutionMode.LOOP
    _is_async = True

    async def execute(self) -> T_co:
        """Do the work."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")


@dataclass_transform(field_specifiers=(field,))
class SyncTask(BaseTask[T_co]):
    """A task whose sync `execute` runs in a thread: for blocking libraries."""

    _mode = ExecutionMode.THREAD
    _is_async = False

    def execute(self) -> T_co:
        """Do the work."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")


@dataclass_transform(field_specifiers=(field,))
class AsyncProcessTask(BaseTask[T_co]):
    """A task whose async `execute` runs in another process: for computing with some I/O."""

    _mode = ExecutionMode.PROCESS
    _is_async = True

    async def execute(self) -> T_co:
        """Do the work."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")


@dataclass_transform(field_specifiers=(field,))
class SyncProcessTask(BaseTask[T_co]):
    """A task whose sync `execute` runs in another process: for computing."""

    _mode = ExecutionMode.PROCESS
    _is_async = False

    def execute(self) -> T_co:
        """Do the work."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")
