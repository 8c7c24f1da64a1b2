"""Asking a task what it says of an exception; shared by the executors."""

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from asynctasq.contracts.executor import Call, Raised
from asynctasq.settlement import ErrorInfo
from asynctasq.tasks.base import BaseTask

logger = logging.getLogger("asynctasq")

TRACEBACK_LIMIT_CHARACTERS = 32_768


def describe(exception: BaseException) -> ErrorInfo:
    """An exception as text; never raises, whatever its `__str__` does."""
    kind = type(exception)
    try:
        message = str(exception)
    except Exception as error:
        message = f"<{kind.__qualname__} whose __str__ raised {type(error).__qualname__}>"
    try:
        lines = "".join(traceback.format_exception(exception))
    except Exception as error:
        lines = f"<no traceback: formatting it raised {type(error).__qualname__}>"
    if len(lines) > TRACEBACK_LIMIT_CHARACTERS:
        half = TRACEBACK_LIMIT_CHARACTERS // 2
        lines = (
            f"{lines[:half]}\n... {len(lines) - 2 * half} characters left out ...\n{lines[-half:]}"
        )
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return ErrorInfo(type=name, message=_storable(message), traceback=_storable(lines))


async def ask_retry(
    call: Call, task: BaseTask[Any] | None, exception: BaseException, ask: "Asker"
) -> Raised:
    """The outcome of an attempt that raised: the error, and whether the task wants another run.

    What is no `Exception` (`SystemExit`, `KeyboardInterrupt`) is retried without asking, as is an
    error raised before the task was built. A `should_retry` that raises counts as a yes.
    """
    retry = True
    if task is not None and isinstance(exception, Exception):
        try:
            retry = bool(await ask(task.should_retry, exception))
        except Exception:
            logger.exception(
                "should_retry of %s raised; the task is retried.", call.definition.name
            )
    return Raised(error=describe(exception), retry=retry, exception=exception)


async def run_failed(task: BaseTask[Any], raised: Raised, ask: "Asker") -> None:
    """Call the task's `failed` hook with the original exception."""
    if isinstance(raised.exception, Exception):
        await ask(task.failed, raised.exception)


Asker = Callable[[Callable[[Exception], Any], Exception], Awaitable[Any]]
"""Calls a task's method with an exception, where that executor runs the task's code."""


async def ask_here(method: Callable[[Exception], Any], exception: Exception) -> Any:
    """Call the method on the event loop, and await what it returns if need be."""
    answer = method(exception)
    return await answer if inspect.isawaitable(answer) else answer


def _storable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
