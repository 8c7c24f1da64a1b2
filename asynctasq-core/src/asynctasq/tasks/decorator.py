"""Function tasks: `@task`."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from asynctasq.annotations import signature_of
from asynctasq.errors import TaskDefinitionError
from asynctasq.importing import module_name
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.tasks.dispatching import current_dispatcher
from asynctasq.tasks.hints import task_hint
from asynctasq.tasks.options import (
    DefinitionOptions,
    check_options,
    check_task_name,
    relations_of,
)
from asynctasq.tasks.origin import Origin
from asynctasq.tasks.registry import registry
from asynctasq.tasks.showing import shown_call
from asynctasq.tasks.signature import argument_check

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)

RetryRule = (
    type[BaseException]
    | tuple[type[BaseException], ...]
    | Callable[[Exception], bool | Awaitable[bool]]
)
"""Exception types that are worth a retry, or a predicate."""
FailureHandler = Callable[[Exception], object]
"""Called with the exception when the task has failed for good; may be async."""


class FunctionTask(Generic[P, R_co]):
    """A function made into a task. Calling it makes a task with arguments; nothing runs."""

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
            origin=Origin(cast("FunctionType", function), (retry_on, on_failure)),
        )

    @property
    def name(self) -> str:
        """The name under which workers find it."""
        return self._definition.name

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> "FunctionCall[R_co]":
        """A task with these arguments, to be dispatched.

        Raises:
            TypeError: they do not fit the function's signature.
        """
        self._definition.check(*args, **kwargs)
        call: FunctionCall[R_co] = FunctionCall.__new__(FunctionCall, self)
        call._arguments = (args, kwargs)
        return call

    def dispatch(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Handle[R_co]]:
        """Shorthand of `f(...).dispatch()`, to be awaited."""
        return current_dispatcher().dispatch(self(*args, **kwargs))

    def dispatch_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R_co]:
        """Shorthand of `f(...).dispatch_sync()`."""
        return self(*args, **kwargs).dispatch_sync()

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    if not TYPE_CHECKING:  # it would make checkers accept every name

        def __getattr__(self, name: str) -> Any:
            """Say what to use instead of a name that other task queues have."""
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            hint = task_hint(name, self.__dict__.get("__name__", "task"))
            raise AttributeError(f"{text}. {hint}" if hint else text, name=name, obj=self)


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
        self._definition = function_task._definition  # type: ignore[misc]  # of the instance here: one class serves all functions
        return self

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        self._arguments = (args, kwargs)

    def _check_fields(self) -> None:
        """It has none of the user's."""

    def __repr__(self) -> str:
        return shown_call(self, f"call {self._function_task.name}")

    def execute(self) -> T_co | Awaitable[T_co]:
        """Call the function."""
        args, kwargs = self._arguments
        return cast("T_co | Awaitable[T_co]", self._function_task.fn(*args, **kwargs))

    def should_retry(self, exception: Exception) -> Any:
        """What `retry_on` says; True without it."""
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
    """What `task(...)` with options returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # of an async function, the first is meant
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncFunctionTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncFunctionTask[P, R]: ...


class FunctionOptions(DefinitionOptions, total=False):
    """What `@task(...)` takes beyond the options of every task."""

    name: str
    """Instead of module and qualified name."""
    process: bool
    """Run in another process."""
    driver: object
    """Name, URL or instance of the driver to dispatch to, instead of the app's."""
    retry_on: RetryRule
    """What is worth a retry; everything, if not given. It has to hold for each error in a group."""
    on_failure: FailureHandler
    """Called when it has failed for good."""


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

    An async function runs on the worker's event loop, a plain one in a thread, either in another
    process with `process=True`. Use it bare (`@task`) or with options (`@task(queue='emails')`).

    Raises:
        TaskDefinitionError: what is decorated is no function, or the name is taken.
        TypeError: an option is unknown or of the wrong type.
        ValueError: an option is out of range.
    """
    if function is not None:
        return _make(function, {})
    return lambda decorated: _make(decorated, options)


def _make(function: object, options: dict[str, Any]) -> FunctionTask[..., Any]:
    if not inspect.isfunction(function):
        raise TaskDefinitionError(
            f"@task makes functions into tasks, and {function!r} is none. For a class, subclass AsyncTask "
            f"or SyncTask; of @staticmethod and @task, write @task below."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskDefinitionError(
            f"{function.__qualname__} is a generator: a task returns one value."
        )
    where = f"@task on {function.__qualname__}"
    given = dict(options)
    own = {name: given.pop(name, None) for name in ("name", "driver", "retry_on", "on_failure")}
    process = given.pop("process", False)
    given = check_options(given, allowed=FunctionOptions, where=where)
    _check_parameters(function, given.get("relations"), where)
    _check_own({**own, "process": process}, where)
    kind = AsyncFunctionTask if inspect.iscoroutinefunction(function) else SyncFunctionTask
    made: FunctionTask[..., Any] = kind(function, process=process, options=given, **own)
    registry.add(made._definition)
    return made


def _check_parameters(function: Callable[..., Any], relations: object, where: str) -> None:
    if isinstance(relations, Mapping):
        for name in relations.keys() - signature_of(function).parameters.keys():
            raise TypeError(f"{where}: relations={relations!r}: there is no parameter {name!r}.")


def _check_own(options: Mapping[str, Any], where: str) -> None:
    name, rule = options["name"], options["retry_on"]
    if name is not None:
        check_task_name(name, where=where)
    if not isinstance(options["process"], bool):
        raise TypeError(f"{where}: process={options['process']!r}: True or False is needed.")
    types: tuple[object, ...] = rule if isinstance(rule, tuple) else (rule,)
    if not all(_is_exception_type(each) for each in types) and not (
        rule is None or (callable(rule) and not isinstance(rule, type))
    ):
        raise TypeError(
            f"{where}: retry_on={rule!r}: an exception type, a tuple of them, or a function of the "
            f"exception is needed."
        )
    if options["on_failure"] is not None and not callable(options["on_failure"]):
        raise TypeError(
            f"{where}: on_failure={options['on_failure']!r}: a function of the exception is needed."
        )


def _is_exception_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
