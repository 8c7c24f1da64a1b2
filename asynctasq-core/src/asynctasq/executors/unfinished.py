"""Return values that show unfinished work, such as a coroutine that was not awaited."""

import asyncio
import inspect
from collections.abc import Coroutine
from contextlib import suppress
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from asynctasq.contracts.executor import Call
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionCall

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})


def refuse_unfinished(call: Call, value: object) -> None:
    """Raise if a return value is not the result of finished work.

    A coroutine is closed and a future is cancelled, so that neither continues after the attempt. Other
    awaitables are results if they can be stored: models of Tortoise, for example, can be awaited.

    Raises:
        TypeError: the value is a coroutine, a future, an awaitable that cannot be stored, or a generator.
    """
    if type(value) in _PLAIN:
        return
    if hasattr(type(value), "__await__"):
        if not _is_work(value) and call.can_store(value):
            return
        _end(value)
        raise TypeError(
            f"The task returned {_kind_of(value)} that was not awaited, so its work was not done. Write "
            f"`return await ...`, and `async def` for a task that awaits."
        )
    if isinstance(value, GeneratorType | AsyncGeneratorType):
        raise TypeError(
            f"The task returned a generator ({value.__qualname__!r}), so its work was not done. Return a list."
        )


def passes_coroutine(task: BaseTask[Any], value: object) -> bool:
    """Return whether a sync wrapper around an async function has returned its coroutine.

    The attribute `__wrapped__`, which `functools.wraps` sets, leads from the wrapper to the function.
    """
    if type(value) is not CoroutineType:
        return False
    code: Any = task._function_task.fn if isinstance(task, FunctionCall) else type(task).execute
    while (code := getattr(code, "__wrapped__", None)) is not None:
        if inspect.iscoroutinefunction(code):
            return True
    return False


def _is_work(value: object) -> bool:
    return isinstance(value, Coroutine) or asyncio.isfuture(value)


def _end(value: Any) -> None:
    """Close a coroutine that did not start, or cancel a future."""
    with suppress(Exception):  # by a custom class, or because its loop is closed
        if inspect.iscoroutine(value):
            if inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
                value.close()
        elif asyncio.isfuture(value):
            value.cancel()
        elif isinstance(value, Coroutine):
            value.close()


def _kind_of(value: Any) -> str:
    if inspect.iscoroutine(value):
        return f"a coroutine ({value.__qualname__!r})"
    return f"an awaitable ({type(value).__qualname__})"
