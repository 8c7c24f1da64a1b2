"""Function tasks: `@task`."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from asynctasq.annotations import signature_of
from asynctasq.errors import TaskDefinitionError
from asynctasq.importing import module_name
from asynctasq.results import Handle
from asynctasq.runtime import current_dispatcher
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.tasks.hinted_names import explain_missing, without_hinted_names
from asynctasq.tasks.hints import TASK_ATTRIBUTES
from asynctasq.tasks.options import (
    DefinitionOptions,
    check_options,
    check_task_name,
    relations_of,
)
from asynctasq.tasks.origin import Origin
from asynctasq.tasks.registry import registry
from asynctasq.tasks.schedule_options import ScheduleOptions, Timetable, take_timetable
from asynctasq.tasks.showing import shown_call
from asynctasq.tasks.signature import argument_check
from asynctasq.tasks.unconfirmed import Unconfirmed

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)

RetryRule = (
    type[BaseException]
    | tuple[type[BaseException], ...]
    | Callable[[Exception], bool | Awaitable[bool]]
)
"""Exception types after which a task is retried, or a function that decides."""
FailureHandler = Callable[[Exception], object]
"""Called with the exception after the final failure of the task; may be async."""


class FunctionTask(Generic[P, R_co]):
    """A function that was made into a task. A call of it returns a task with arguments; nothing runs."""

    __name__: str
    __qualname__: str

    if TYPE_CHECKING:

        @property
        def fn(self) -> Callable[P, Any]:
            """The plain function."""
            raise NotImplementedError

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        name: str | None,
        process: bool,
        driver: object,
        retry_on: RetryRule | None,
        on_failure: FailureHandler | None,
        options: Mapping[str, object],
        timetable: Timetable | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__dict__["fn"] = function
        self._retry_on = retry_on
        self._on_failure = on_failure
        is_async = inspect.iscoroutinefunction(function)
        mode = (
            ExecutionMode.PROCESS
            if process
            else ExecutionMode.LOOP
            if is_async
            else ExecutionMode.THREAD
        )
        module = module_name(function)
        self._definition = TaskDefinition(
            name=name or f"{module}:{function.__qualname__}",
            module=module,
            mode=mode,
            is_async=is_async,
            options=options,
            driver=driver,
            create=lambda: FunctionCall.__new__(FunctionCall, self),
            check=argument_check(function, name=function.__qualname__),
            relations=relations_of(options),
            named=name is not None,
            timetable=timetable,
            origin=Origin(cast("FunctionType", function), (retry_on, on_failure)),
        )

    @property
    def name(self) -> str:
        """The name by which workers find the task."""
        return self._definition.name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> "FunctionCall[R_co]":
        """Return a task with these arguments, to be dispatched.

        Raises:
            TypeError: the arguments do not match the function's signature.
        """
        self._definition.check(*args, **kwargs)
        call: FunctionCall[R_co] = FunctionCall.__new__(FunctionCall, self)
        call._arguments = (args, kwargs)
        return call

    def dispatch(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Handle[R_co]]:
        """Enqueue a call: short for `f(...).dispatch()`. Await it."""
        return current_dispatcher().dispatch(self(*args, **kwargs))

    def dispatch_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Enqueue a call: short for `f(...).dispatch_sync()`."""
        return self(*args, **kwargs).dispatch_sync()

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __dir__(self) -> Iterable[str]:
        return without_hinted_names([*super().__dir__()], type(self))


explain_missing(FunctionTask, TASK_ATTRIBUTES)


class AsyncFunctionTask(FunctionTask[P, R_co]):
    """An async function made into a task."""

    if TYPE_CHECKING:

        @property
        def fn(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
            """The plain function."""
            raise NotImplementedError


class SyncFunctionTask(FunctionTask[P, R_co]):
    """A plain function made into a task."""

    if TYPE_CHECKING:

        @property
        def fn(self) -> Callable[P, R_co]:
            """The plain function."""
            raise NotImplementedError


class FunctionCall(BaseTask[T_co]):
    """A function task with its arguments."""

    _function_task: FunctionTask[..., T_co]

    def __new__(cls, function_task: FunctionTask[..., T_co]) -> "FunctionCall[T_co]":
        self = object.__new__(cls)
        self._function_task = function_task
        self._definition = function_task._definition  # type: ignore[misc]  # an attribute of the instance here: one class serves all functions
        # Python reads attributes of an instance faster than those of its class.
        self._overrides = None
        self._unconfirmed = None
        return self

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        self._arguments = (args, kwargs)

    def _check_fields(self) -> None:
        """Do nothing: a call has no fields of the user."""

    def _note_dispatch(self, task_id: str, confirmed_by: Unconfirmed) -> None:
        """Set the same fields as the base class, faster: this class is not a frozen dataclass."""
        self._task_id = task_id
        self._unconfirmed = confirmed_by

    def __repr__(self) -> str:
        return shown_call(self, f"call {self._function_task.name}")

    def execute(self) -> T_co | Awaitable[T_co]:
        """Call the function."""
        args, kwargs = self._arguments
        return cast("T_co | Awaitable[T_co]", self._function_task.fn(*args, **kwargs))

    def should_retry(self, exception: Exception) -> Any:
        """Return whether `retry_on` accepts the error; True without it."""
        rule = self._function_task._retry_on
        if rule is None:
            return True
        if isinstance(rule, tuple) or inspect.isclass(rule):
            return isinstance(exception, rule)
        return cast("Callable[[Exception], object]", rule)(exception)

    def _retries_type_of(self, exception: Exception) -> bool:
        """Check whether `retry_on` names a type that the exception has."""
        rule = self._function_task._retry_on
        return (isinstance(rule, tuple) or inspect.isclass(rule)) and isinstance(exception, rule)

    def failed(self, exception: Exception) -> Any:
        """Call `on_failure`, if there is one."""
        handler = self._function_task._on_failure
        return super().failed(exception) if handler is None else handler(exception)


class TaskDecorator(Protocol):
    """The decorator that `task(...)` with options returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # of an async function, the first is meant
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncFunctionTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncFunctionTask[P, R]: ...


class FunctionOptions(DefinitionOptions, ScheduleOptions, total=False):
    """Options of `@task(...)`: those of every task, and more."""

    name: str
    """Name of the task; module and qualified name of the function by default."""
    process: bool
    """Run the function in another process."""
    driver: object
    """Name, URL or instance of the driver that the task is dispatched to; that of the app by default."""
    retry_on: RetryRule
    """Errors after which the task is retried; all by default. Every error in a group must match."""
    on_failure: FailureHandler
    """Called after the final failure of the task."""


@overload
def task(  # type: ignore[overload-overlap]  # of an async function, the first is meant
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncFunctionTask[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> SyncFunctionTask[P, R]: ...
@overload
def task(**options: Unpack[FunctionOptions]) -> TaskDecorator: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function into a task.

    An async function runs on the worker's event loop, a plain one in a thread; with `process=True`,
    either runs in another process. Use the decorator with options (`@task(queue='emails')`) or without
    (`@task`).

    Raises:
        TaskDefinitionError: the decorated object is not a function, or the name is taken.
        TypeError: an option is unknown or of the wrong type.
        ValueError: an option is out of range.
    """
    if function is not None:
        return _make(function, {})
    return lambda decorated: _make(decorated, options)


def _make(function: object, options: dict[str, Any]) -> FunctionTask[..., Any]:
    if not inspect.isfunction(function):
        raise TaskDefinitionError(
            f"@task must decorate a function, got {function!r}. For a class, subclass AsyncTask or "
            f"SyncTask. With @staticmethod, write @task below it."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskDefinitionError(
            f"{function.__qualname__} must return one value, got a generator. Return a list instead."
        )
    where = f"@task on {function.__qualname__}"
    given = dict(options)
    own = {name: given.pop(name, None) for name in ("name", "driver", "retry_on", "on_failure")}
    process = given.pop("process", False)
    timetable = take_timetable(given, where=where, driver=own["driver"])
    given = check_options(given, allowed=FunctionOptions, where=where)
    _check_parameters(function, given.get("relations"), where)
    _check_own({**own, "process": process}, where)
    kind = AsyncFunctionTask if inspect.iscoroutinefunction(function) else SyncFunctionTask
    if timetable is not None:
        _check_needs_no_arguments(function, where)
    made: FunctionTask[..., Any] = kind(
        function, process=process, options=given, timetable=timetable, **own
    )
    registry.add(made._definition)
    return made


def _check_parameters(function: Callable[..., Any], relations: object, where: str) -> None:
    if isinstance(relations, Mapping):
        for name in relations.keys() - signature_of(function).parameters.keys():
            raise TypeError(
                f"{where}: relations must name parameters of the function, got {name!r} in {relations!r}."
            )


def _check_needs_no_arguments(function: Callable[..., Any], where: str) -> None:
    try:
        signature_of(function).bind()
    except TypeError as error:
        raise TaskDefinitionError(
            f"{where} has a schedule, so the function must work without arguments ({error}). Give its parameters "
            f"defaults, or use `await {function.__name__}(...).schedule(name, ...)`."
        ) from None


def _check_own(options: Mapping[str, Any], where: str) -> None:
    name, rule = options["name"], options["retry_on"]
    if name is not None:
        check_task_name(name, where=where)
    if not isinstance(options["process"], bool):
        raise TypeError(f"{where}: process must be True or False, got {options['process']!r}.")
    types: tuple[object, ...] = rule if isinstance(rule, tuple) else (rule,)
    if not all(_is_exception_type(each) for each in types) and not (
        rule is None or (callable(rule) and not isinstance(rule, type))
    ):
        raise TypeError(
            f"{where}: retry_on must be an exception type, a tuple of them, or a function that takes the "
            f"exception, got {rule!r}."
        )
    if options["on_failure"] is not None and not callable(options["on_failure"]):
        raise TypeError(
            f"{where}: on_failure must be a function that takes the exception, got {options['on_failure']!r}."
        )


def _is_exception_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
