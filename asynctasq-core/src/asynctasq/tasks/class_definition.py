"""Definitions of task classes: the options and methods of a class, checked when it is created."""

import difflib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any, cast

from asynctasq.annotations import own_annotations
from asynctasq.errors import TaskDefinitionError
from asynctasq.importing import module_name
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.tasks.fields import ConstructorCheck, is_class_variable
from asynctasq.tasks.hints import class_attribute_hint
from asynctasq.tasks.options import (
    DEFINITION_OPTION_NAMES,
    DefinitionOptions,
    check_options,
    relations_of,
)
from asynctasq.tasks.origin import Origin
from asynctasq.tasks.reserved import HOOKS, Reserved, hidden_method


def define_class(cls: Any, base: Any, name: str | None) -> TaskDefinition:
    """Return the definition of a task class.

    Args:
        cls: the task class.
        base: the base class of all tasks.
        name: the name that the user chose; None for module and qualified name.

    Raises:
        TaskDefinitionError: the class cannot be a task.
        TypeError: an option has the wrong type.
        ValueError: an option is out of range.
    """
    _check_execute(cls)
    if cls.__new__ is not base.__new__:
        raise TaskDefinitionError(
            f"{cls.__qualname__} must not define __new__: a worker calls it without arguments. Use "
            f"__init__."
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
        check=ConstructorCheck(cls, base),
        relations=relations_of(options),
        named=name is not None,
        origin=Origin(cls),
    )


def check_names(cls: type, base: type) -> None:
    """Make sure that a class hides no method of tasks.

    Raises:
        TaskDefinitionError: a method or a field of the class has a reserved name.
    """
    methods = {name for name, value in vars(base).items() if isinstance(value, Reserved)}
    for reserved in methods & vars(cls).keys():
        raise TaskDefinitionError(
            f"{cls.__qualname__} cannot define {reserved!r}: that is a method of every task. Rename it."
        )
    for hook in HOOKS & vars(cls).keys():
        if not callable(getattr(cls, hook)):
            raise hidden_method(cls, hook)
    for annotated, hint in own_annotations(cls).items():
        if annotated in methods | HOOKS and not is_class_variable(hint):
            raise hidden_method(cls, annotated)


def _check_execute(cls: Any) -> None:
    """Make sure that `execute` is of the kind that the executor will call.

    Raises:
        TaskDefinitionError: it is not.
    """
    execute: Any = cls.execute
    if inspect.isgeneratorfunction(execute) or inspect.isasyncgenfunction(execute):
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute must return one value, got a generator. Return a list instead."
        )
    is_async = inspect.iscoroutinefunction(execute)
    if is_async and not cls._is_async:
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute is async, which a sync task cannot await. Subclass AsyncTask or "
            f"AsyncProcessTask."
        )
    if cls._is_async and not is_async and not hasattr(execute, "__wrapped__"):
        raise TaskDefinitionError(
            f"{cls.__qualname__}.execute must be async. Write `async def execute`, or subclass SyncTask "
            f"or SyncProcessTask."
        )


def _class_options(cls: type) -> DefinitionOptions:
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
    hint = f"Did you mean {near[0]!r}?" if near else class_attribute_hint(name)
    if hint is not None:
        warnings.warn(
            f"{cls.__qualname__}.{name} is not an option and has no effect. {hint}", stacklevel=5
        )
