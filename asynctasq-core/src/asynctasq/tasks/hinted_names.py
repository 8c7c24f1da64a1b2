"""Names of other task queues that tasks do not have, and whose absence is explained.

Each name is a descriptor that raises. A `__getattr__` would explain them with less code, but Python then finds
every attribute of a task by a slower path: a dispatch would take 5 % longer.
"""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any


class HintedName:
    """A name that tasks do not have. Reading it raises an error that says what to use instead."""

    def __init__(self, owner: type, name: str, hint: str) -> None:
        """Describe the name.

        Args:
            owner: the class that has the descriptor.
            name: the missing attribute.
            hint: what to use instead. `{task}` becomes the name of the task.
        """
        self._owner = owner
        self._name = name
        self._hint = hint

    def __get__(self, instance: object, cls: type) -> Any:
        """Return what a class behind the owner has under this name; raise AttributeError without one."""
        name = self._name
        if self.behind(cls) is not MISSING:
            return getattr(super(self._owner, cls if instance is None else instance), name)
        if instance is None:
            text = f"type object {cls.__name__!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=cls)
        hint = self._hint.format(task=vars(instance).get("__name__", "task"), arguments="...")
        text = f"{cls.__name__!r} object has no attribute {name!r}. {hint}"
        raise AttributeError(text, name=name, obj=instance)

    def behind(self, cls: type) -> object:
        """Return what a class behind the owner has in its place, undecorated; `MISSING` without one."""
        mro = cls.__mro__
        for base in mro[mro.index(self._owner) + 1 :]:
            if self._name in vars(base):
                return vars(base)[self._name]
        return MISSING


def explain_missing(cls: type, hints: Mapping[str, str]) -> None:
    """Explain the absence of these names in a class and its subclasses; skip names that the class has."""
    for name, hint in hints.items():
        if not hasattr(cls, name):
            setattr(cls, name, HintedName(cls, name, hint))


def without_hinted_names(names: list[str], cls: type) -> list[str]:
    """Return the names that an instance has, for `dir`."""
    return [
        name
        for name in names
        if not isinstance(inspect.getattr_static(cls, name, None), HintedName)
    ]
