"""Asking a task what it says of an exception; shared by the executors."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from asynctasq.contracts.executor import (
    AttemptResult,
    Call,
    Failure,
    Raised,
    Rejected,
    Returned,
    Snoozed,
)
from asynctasq.errors import ModelNotFound
from asynctasq.executors.groups import errors_of, is_a, meaning_of
from asynctasq.executors.tracebacks import traceback_text
from asynctasq.retry import OnMissing
from asynctasq.settlement import ErrorInfo
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionCall
from asynctasq.tasks.outcomes import Reject, Retry, Snooze

logger = logging.getLogger("asynctasq")

MESSAGE_LIMIT_CHARACTERS = 8_192
TRACEBACK_LIMIT_CHARACTERS = 32_768


def describe(exception: BaseException) -> ErrorInfo:
    """An exception as text; never raises, whatever its `__str__`, or its class, does."""
    try:
        message = str.__str__(str(exception))  # of a subclass of str, too
    except BaseException as error:
        message = f"<{_name_of(exception, short=True)} whose __str__ raised {_name_of(error)}>"
    try:
        lines = str.__str__(traceback_text(exception))
    except BaseException as error:
        lines = f"<no traceback: formatting it raised {_name_of(error)}>"
    return ErrorInfo(
        type=_name_of(exception),
        message=_storable(message, MESSAGE_LIMIT_CHARACTERS),
        traceback=_storable(lines, TRACEBACK_LIMIT_CHARACTERS),
    )


def _name_of(exception: BaseException, *, short: bool = False) -> str:
    """That of its class, with the module unless that is `builtins`."""
    kind = type(exception)
    try:
        name = str.__str__(kind.__qualname__)
        module = kind.__module__
        long_name = name if module == "builtins" else str.__str__(f"{module}.{name}")
    except BaseException:  # a metaclass may do anything
        return "<an exception whose class has no name>"
    return name if short else long_name


async def classify_exception(call: Call, exception: BaseException, ask: "Asker") -> AttemptResult:
    """The outcome of an attempt that raised: what the task said by it, or says when it is asked.

    What is no `Exception` (`SystemExit`, `KeyboardInterrupt`) is retried without asking. A
    `should_retry` that raises counts as a yes. An exception group means what its leaves mean: see
    `meaning_of`. An exception that raises when it is looked at is an ordinary error.
    """
    try:
        exception = meaning_of(exception)
        if (said := _said_by(call, exception)) is not None:
            return said
    except BaseException:
        logger.exception("An exception of %s cannot be examined.", call.definition.name)
    if is_a(exception, Exception):
        call.explain(cast("Exception", exception))
    return await _ask_retry(call, exception, ask)


def _said_by(call: Call, exception: BaseException) -> AttemptResult | None:
    """What the exception itself says about the attempt; None if the task is to be asked."""
    if is_a(exception, Snooze | Reject | Retry | ModelNotFound):
        match exception:
            case Snooze(seconds=seconds):
                return Snoozed(seconds)
            case Reject():
                return Rejected(describe(exception), exception)
            case Retry(delay=delay):
                return Raised(describe(exception), True, exception, retry_delay=delay)
            case ModelNotFound(on_missing=OnMissing.SKIP):
                logger.info("%s is skipped: %s", call.definition.name, exception)
                return Returned(call.encode_result(None))
            case ModelNotFound(on_missing=OnMissing.FAIL):
                return Raised(describe(exception), False, exception)
            case _:
                pass
    return None


async def _ask_retry(call: Call, exception: BaseException, ask: "Asker") -> Raised:
    retry = True
    if is_a(exception, Exception):
        exception = cast("Exception", exception)
        try:
            task = call.as_built()
            for each in _questions(task, exception):
                retry = bool(await ask(call, task.should_retry, each))
                if not retry:
                    break
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception(
                "should_retry of %s raised; the task is retried.", call.definition.name
            )
    return Raised(error=describe(exception), retry=retry, exception=exception)


def _questions(task: BaseTask[Any], exception: Exception) -> list[Exception]:
    """List the exceptions that `should_retry` has to accept, all of them.

    They are the leaves of a group, so that a rule for `ConnectionError` holds for a task group whose
    tasks raised nothing else; `retry_on=` may name the type of the group, too.
    """
    if not is_a(exception, ExceptionGroup):
        return [exception]
    if isinstance(task, FunctionCall) and task._retries_type_of(exception):
        return [exception]
    return errors_of(cast("ExceptionGroup[Exception]", exception))


async def run_failed(call: Call, failure: Failure, ask: "Asker") -> None:
    """Call the task's `failed` hook with the original exception."""
    if failure.exception is not None and is_a(failure.exception, Exception):
        with suppress(Exception):  # it raises what the hook is about to hear
            await call.load()
        await ask(call, call.as_built().failed, cast("Exception", failure.exception))


Asker = Callable[[Call, Callable[[Exception], Any], Exception], Awaitable[Any]]
"""Calls a task's method with an exception, where that executor runs the task's code."""


async def call_hook(call: Call, method: Callable[[Exception], Any], exception: Exception) -> Any:
    """Call the method on the event loop, and await what it returns if need be."""
    try:
        if call.attended:
            await call.enter()
        answer = method(exception)
        return await answer if inspect.isawaitable(answer) else answer
    finally:
        if call.attended:
            await call.leave()


async def await_here(call: Call, answer: Awaitable[Any]) -> Any:
    """Await what a method of a sync task returned."""

    async def awaited(_: Exception) -> Any:
        return await answer

    return await call_hook(call, awaited, Exception())


def _storable(text: str, limit: int) -> str:
    """The text with its middle left out if it is long, and no lone surrogates: UTF-8 has none."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
