"""Base classes of tasks: what users subclass, and what a dispatched call is."""

import difflib
import inspect
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import wraps
from typing import (
    TYPE_CHECKING,
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

from asynctasq.annotations import own_annotations
from asynctasq.errors import TaskDefinitionError
from asynctasq.importing import module_name
from asynctasq.message import Delivery, id_to_text
from asynctasq.results import Handle
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.tasks.dispatching import current_dispatcher
from asynctasq.tasks.fields import ConstructorCheck, Fields, fields_of, is_class_variable
from asynctasq.tasks.hints import call_hint
from asynctasq.tasks.options import (
    DEFINITION_OPTION_NAMES,
    DefinitionOptions,
    DispatchOptions,
    Duration,
    check_options,
    check_queue_name,
    check_task_name,
    relations_of,
)
from asynctasq.tasks.origin import Origin
from asynctasq.tasks.registry import registry
from asynctasq.tasks.showing import shown_call
from asynctasq.tasks.unconfirmed import Unconfirmed

T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")
F = TypeVar("F", bound=Callable[..., Any])


class _Reserved:
    """A method that neither a subclass nor an instance may hide behind data of its own.

    A data descriptor wins over the instance's attributes, so the check costs nothing elsewhere.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is not None:
            return self._function.__get__(instance, owner)
        return self._function if owner is BaseTask else self._of_class(owner)

    def _of_class(self, owner: type | None) -> Callable[..., Any]:
        """Make the method as a class has it: it takes an instance, and says so if it gets none."""
        function, name = self._function, self._name
        cls = "Task" if owner is None else owner.__qualname__

        def check(args: tuple[object, ...]) -> None:
            if not (args and isinstance(args[0], BaseTask)):
                raise TypeError(
                    f"{cls}.{name}() is a method of a task with its arguments. Write "
                    f"`{cls}(...).{name}()`."
                )

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def checked_async(*args: Any, **kwargs: Any) -> Any:
                check(args)
                return await function(*args, **kwargs)

            return checked_async

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            check(args)
            return function(*args, **kwargs)

        return checked

    def __set__(self, instance: object, value: object) -> None:
        raise shadowed(cast("BaseTask[Any]", instance), self._name)


def _reserved(function: F) -> F:
    return cast("F", _Reserved(function))


def _is_runnable(cls: "type[BaseTask[Any]]") -> bool:
    """Whether some class of the user's has written `execute`."""
    return hasattr(cls, "_mode") and cls.execute.__module__ != __name__


def _define(cls: "type[BaseTask[Any]]", name: str | None) -> TaskDefinition:
    _check_execute(cls)
    if cls.__new__ is not BaseTask.__new__:
        raise TaskDefinitionError(
            f"{cls.__qualname__} cannot have a __new__ of its own, which would run without arguments in "
            f"a worker. Use __init__."
        )
    module = module_name(cls)
    options = cast("Mapping[str, object]", _class_options(cls))
    return TaskDefinition(
        name=name or f"{module}:{cls.__qualname__}",
        module=module,
        mode=cls._mode,
        is_async=cls._is_async,
        options=options,
        driver=cls._driver_override,
        create=lambda: cls.__new__(cls),
        check=ConstructorCheck(cls, BaseTask),
        relations=relations_of(options),
        named=name is not None,
        origin=Origin(cls),
    )


def _check_execute(cls: "type[BaseTask[Any]]") -> None:
    """Make sure that `execute` is of the kind that the executor will call.

    Raises:
        TaskDefinitionError: it is not.
    """
    execute: Any = cls.execute
    if inspect.isgeneratorfunction(execute) or inspect.isasyncgenfunction(execute):
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute is a generator: a task returns one value."
        )
    is_async = inspect.iscoroutinefunction(execute)
    if is_async and not cls._is_async:
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute is async, which a sync task cannot await: subclass "
            f"AsyncTask or AsyncProcessTask."
        )
    if cls._is_async and not is_async and not hasattr(execute, "__wrapped__"):
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute is not async: write `async def execute`, or subclass "
            f"SyncTask or SyncProcessTask."
        )


def _class_options(cls: "type[BaseTask[Any]]") -> DefinitionOptions:
    given = {
        name: value
        for owner in reversed(cls.__mro__)
        for name, value in vars(owner).items()
        if name in DEFINITION_OPTION_NAMES
    }
    where = f"The task class {cls.__qualname__}"
    options = check_options(given, allowed=DefinitionOptions, where=where)
    for name, value in vars(cls).items():
        if isinstance(value, str | int | float) and not name.startswith("_"):
            _warn_of_misspelling(cls, name)
    return cast("DefinitionOptions", options)


def _warn_of_misspelling(cls: type, name: str) -> None:
    if name in DEFINITION_OPTION_NAMES:
        return
    near = difflib.get_close_matches(name, DEFINITION_OPTION_NAMES, n=1, cutoff=0.8)
    if near:
        warnings.warn(
            f"{cls.__qualname__}.{name} is not an option and has no effect. Did you mean {near[0]!r}?",
            stacklevel=5,
        )


class _Nothing(Coroutine[Any, Any, None]):
    """What `BaseTask.failed` returns: a coroutine that does nothing, and that a sync override which
    calls `super().failed(...)` may drop."""

    def send(self, value: Any, /) -> Never:  # noqa: ARG002  the signature of coroutines
        raise StopIteration

    def throw(self, *error: Any) -> Never:
        raise error[0]

    def close(self) -> None:
        """It holds nothing."""

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator promises more than awaiting needs
        return iter(())


set_field = object.__setattr__
"""Past the `__setattr__` of frozen dataclasses; and an instance whose `__dict__` nobody asks for has none,
which spares Python's garbage collector as many objects as there are tasks."""


class _Told(Generic[V]):
    """What a task is told of its delivery, made out when it asks: most never do."""

    def __init__(self, otherwise: V, of: Callable[[Delivery], V]) -> None:
        self._otherwise = otherwise
        self._of = of

    def __get__(self, task: "BaseTask[Any] | None", owner: type) -> V:
        delivery = None if task is None else task._delivery
        return self._otherwise if delivery is None else self._of(delivery)


def _told(otherwise: V, of: Callable[[Delivery], V]) -> V:
    return cast("V", _Told(otherwise, of))  # to type checkers, a field as others


class BaseTask(Generic[T_co]):
    """A task with its arguments: dispatched by the application, run by a worker.

    Subclass one of `AsyncTask`, `SyncTask`, `AsyncProcessTask` and `SyncProcessTask`. What travels is
    the constructor's arguments; the worker calls the constructor again.

    A class without a constructor takes its annotated fields as arguments, as a dataclass does, and those
    that have no default must be given. One that annotates nothing either takes any keyword arguments.
    """

    _definition: ClassVar[TaskDefinition | None] = None
    _fields: ClassVar[Fields | None] = None
    _mode: ClassVar[ExecutionMode]
    _is_async: ClassVar[bool]
    _driver_override: ClassVar[object] = None

    _delivery: Delivery | None = None
    """In a worker."""
    _task_id: str | None = _told(None, lambda delivery: id_to_text(delivery.message.id))
    """Set at dispatch, and before anything of the task runs in a worker."""
    _current_attempt: int = _told(0, lambda delivery: delivery.attempt)
    """Runs that have ended before this one: 0 on the first."""
    _dispatched_at: datetime | None = _told(
        None, lambda delivery: datetime.fromtimestamp(delivery.enqueued_at, UTC)
    )
    """When it was enqueued, by the store's clock (aware, UTC)."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _overrides: DispatchOptions | None = None
    _unconfirmed: Unconfirmed | None = None
    """Ids of dispatches of which it is unknown whether the store has accepted them."""

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        set_field(self, "_arguments", (args, kwargs))
        return self

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        fields = self._fields
        if fields is not None and type(self).__init__ is not BaseTask.__init__:
            fields = None  # its constructor has checked the arguments
        if fields is not None:
            kwargs = fields.bind(args, kwargs)
            for name, value in fields.missing_values(kwargs):
                setattr(self, name, value)
        elif args:
            raise TypeError(
                f"{type(self).__qualname__}() takes keyword arguments only. Annotate its fields, or "
                f"write an __init__, to pass them by place."
            )
        for name, value in kwargs.items():
            if name.startswith("_"):
                raise TypeError(
                    f"{type(self).__qualname__}() got {name!r}: names with a leading underscore are reserved."
                )
            if name in _HOOKS:
                raise shadowed(self, name)
            setattr(self, name, value)
        if fields is not None and fields.has_post_init:
            cast("Any", self).__post_init__()

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            check_task_name(name, where=f"The task class {cls.__qualname__}")
        for reserved in _RESERVED_METHODS & vars(cls).keys():
            raise TaskDefinitionError(
                f"{cls.__qualname__} cannot define {reserved!r}: that is a method of every task. Rename it."
            )
        for hook in _HOOKS & vars(cls).keys():
            if not callable(getattr(cls, hook)):
                raise TaskDefinitionError(
                    f"{cls.__qualname__} cannot have a field named {hook!r}: that is a method of every "
                    f"task. Rename the field."
                )
        for annotated, hint in own_annotations(cls).items():
            if annotated in _RESERVED_METHODS | _HOOKS and not is_class_variable(hint):
                raise TaskDefinitionError(
                    f"{cls.__qualname__} cannot have a field named {annotated!r}: that is a method of "
                    f"every task. Rename the field."
                )
        cls._fields = fields_of(cls, BaseTask)
        cls._definition = None
        if _is_runnable(cls):
            cls._definition = _define(cls, name)
            registry.add(cls._definition)

    def __repr__(self) -> str:
        return shown_call(self, f"task {type(self).__module__}:{type(self).__qualname__}")

    if not TYPE_CHECKING:  # it would make checkers accept every name

        def __getattr__(self, name: str) -> Any:
            """Say what to use instead of a name that other task queues have."""
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            hint = call_hint(name)
            raise AttributeError(f"{text}. {hint}" if hint else text, name=name, obj=self)

    def execute(self) -> T_co | Awaitable[T_co]:
        """Do the work. Subclasses write this; it may be sync or async, as the base class says."""
        raise NotImplementedError(f"{type(self).__qualname__} has no execute()")

    def failed(self, exception: Exception) -> Any:  # noqa: ARG002  subclasses use it
        """Called once, when the task has failed for good. May be sync or async in subclasses."""
        return _Nothing()

    def should_retry(self, exception: Exception) -> Any:  # noqa: ARG002  subclasses use it
        """Whether this error is worth another run, if one is left. May be sync or async in subclasses.

        Of an exception group it is asked about each error in it, and has to accept all of them.
        """
        return True

    @_reserved
    def on_queue(self, queue: str) -> Self:
        """Dispatch to this queue.

        Raises:
            ValueError: it cannot name a queue.
        """
        return self._override(queue=check_queue_name(queue))

    @_reserved
    def delay(self, seconds: Duration) -> Self:
        """Be due after that many seconds, or that `timedelta`; 0 is now.

        Raises:
            TypeError: it is not a duration.
            ValueError: it is negative, not finite, or longer than any store can take.
        """
        return self.options(delay=seconds)

    @_reserved
    def retry_after(self, seconds: Duration) -> Self:
        """Wait that many seconds, or that `timedelta`, before a retry.

        Raises:
            TypeError: it is not a duration.
            ValueError: it is negative, not finite, or longer than any store can take.
        """
        return self.options(retry_delay=seconds)

    @_reserved
    def options(self, **options: Unpack[DispatchOptions]) -> Self:
        """Set options of this dispatch; the names are those of `DispatchOptions`.

        Raises:
            TypeError: an option is unknown or of the wrong type.
            ValueError: a value is out of range.
        """
        given = cast("Mapping[str, object]", options)
        checked = check_options(given, allowed=DispatchOptions, where="options()")
        return self._override(**cast("DispatchOptions", checked))

    @_reserved
    async def dispatch(self) -> Handle[T_co]:
        """Send it off; returns when the store has it.

        Raises:
            NotSerializable: an argument cannot travel.
            MessageTooLarge: arguments and headers exceed `max_message_bytes`.
            CapabilityMissing: the driver cannot do what an option asks for.
            DriverUnavailable: the store could not be reached, or its answer was lost. Then it is
                unknown whether it has the message. Dispatching this object again is safe: it keeps
                its id until a dispatch succeeds, so the store cannot have it twice.
            DriverError: the store refused.
        """
        return await current_dispatcher().dispatch(self)

    @_reserved
    def dispatch_sync(self) -> Handle[T_co]:
        """Like `dispatch`, for code without an event loop.

        Raises:
            RuntimeError: an event loop runs in this thread; use `await ….dispatch()`.
        """
        return current_dispatcher().dispatch_sync(self)

    def _check_fields(self) -> None:
        """Make sure that no field hides a method that the worker will call.

        Raises:
            TaskDefinitionError: one does.
        """
        if not _HOOKS.isdisjoint(vars(self)):
            raise shadowed(self, min(_HOOKS & vars(self).keys()))

    def _override(self, **options: Unpack[DispatchOptions]) -> Self:
        set_field(
            self, "_overrides", {**self._overrides, **options} if self._overrides else options
        )
        return self


_RESERVED_METHODS = frozenset(
    name for name, value in vars(BaseTask).items() if isinstance(value, _Reserved)
)


_HOOKS = frozenset({"execute", "failed", "should_retry"})
"""Methods that users write, and that no field may hide."""


def shadowed(task: BaseTask[Any], name: str) -> TaskDefinitionError:
    """The error for a field with the name of a method."""
    return TaskDefinitionError(
        f"{type(task).__qualname__} cannot have a field named {name!r}: that is a method of every "
        f"task. Rename the field."
    )


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
