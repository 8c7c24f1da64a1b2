"""Names of tasks that belong to methods, and that no field may hide."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asynctasq.errors import TaskDefinitionError

F = TypeVar("F", bound=Callable[..., Any])

HOOKS = frozenset({"execute", "failed", "should_retry"})
"""Methods that users write, and that no field may hide."""


class Reserved:
    """A method that neither a subclass nor an instance may hide behind its own data.

    A data descriptor takes precedence over the instance's attributes, so the check costs nothing elsewhere.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is not None:
            return self._function.__get__(instance, owner)
        return self._function if owner is self._owner else self._of_class(owner)

    def _of_class(self, owner: type | None) -> Callable[..., Any]:
        """Return the method as a class has it; it raises if its first argument is not an instance."""
        function, name, base = self._function, self._name, self._owner
        cls = "Task" if owner is None else owner.__qualname__

        def check(args: tuple[object, ...]) -> None:
            if not (args and isinstance(args[0], base)):
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
        raise hidden_method(type(instance), self._name)


def reserved(function: F) -> F:
    """Make a method that no field may hide."""
    return cast("F", Reserved(function))


def hidden_method(cls: type, name: str) -> TaskDefinitionError:
    """Return the error for a field with the name of a method."""
    return TaskDefinitionError(
        f"{cls.__qualname__} cannot have a field named {name!r}: that is a method of every task. Rename "
        f"the field."
    )
