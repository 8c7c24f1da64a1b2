"""The code of a task within the context managers of plugins."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from asynctasq.contracts.executor import Call

T = TypeVar("T")


def surrounded(call: Call, function: Callable[[], T]) -> Callable[[], T]:
    """Return a function that enters the context managers of a call in its thread, and then calls `function`."""
    surrounding = call.surrounding
    return function if surrounding is None else lambda: _within(surrounding, function)


def _within(surrounding: AbstractContextManager[Any], function: Callable[[], T]) -> T:
    with surrounding:
        return function()
