"""Classification of exceptions that tasks raise, and calls of their hooks; shared by all executors."""

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
from asynctasq.failures import error_info
from asynctasq.retry import OnMissing
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionCall
from asynctasq.tasks.outcomes import Reject, Retry, Snooze

logger = logging.getLogger("asynctasq")


async def classify_exception(
    call: Call, exception: BaseException, call_method: "HookCaller"
) -> AttemptResult:
    """Return the outcome of an attempt that raised.

    `Snooze`, `Reject` and `Retry` name the outcome themselves. For other exceptions, `should_retry` of the
    task decides; it is called by `call_method`, for example `call_hook`. Exceptions that are not an
    `Exception` (`SystemExit`, `KeyboardInterrupt`) are retried without that call, and a `should_retry`
    that raises counts as True. A group has the outcome of the exceptions in it.
    """
    try:
        exception = meaning_of(exception)
        if (outcome := _outcome_named_by(call, exception)) is not None:
            return outcome
    except BaseException:
        logger.exception("Could not examine an exception of %s", call.definition.name)
    if is_a(exception, Exception):
        call.explain(cast("Exception", exception))
    return await _decide_retry(call, exception, call_method)


def _outcome_named_by(call: Call, exception: BaseException) -> AttemptResult | None:
    """Return the outcome that the exception itself names; None if `should_retry` decides."""
    if is_a(exception, Snooze | Reject | Retry | ModelNotFound):
        match exception:
            case Snooze(seconds=seconds):
                return Snoozed(seconds)
            case Reject():
                return Rejected(error_info(exception), exception)
            case Retry(delay=delay):
                return Raised(error_info(exception), True, exception, retry_delay=delay)
            case ModelNotFound(on_missing=OnMissing.SKIP):
                logger.info("Skipped %s: %s", call.definition.name, exception)
                return Returned(call.encode_result(None))
            case ModelNotFound(on_missing=OnMissing.FAIL):
                return Raised(error_info(exception), False, exception)
            case _:
                pass
    return None


async def _decide_retry(call: Call, exception: BaseException, call_method: "HookCaller") -> Raised:
    retry = True
    if is_a(exception, Exception):
        exception = cast("Exception", exception)
        try:
            task = call.as_built()
            for each in _questions(task, exception):
                retry = bool(await call_method(call, task.should_retry, each))
                if not retry:
                    break
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("should_retry() of %s raised; retrying the task", call.definition.name)
    return Raised(error=error_info(exception), retry=retry, exception=exception)


def _questions(task: BaseTask[Any], exception: Exception) -> list[Exception]:
    """List the exceptions that `should_retry` must accept, every one of them.

    They are the leaves of a group, so that a rule for `ConnectionError` holds for a task group whose
    tasks raised nothing else; `retry_on=` may name the type of the group, too.
    """
    if not is_a(exception, ExceptionGroup):
        return [exception]
    if isinstance(task, FunctionCall) and task._retries_type_of(exception):
        return [exception]
    return errors_of(cast("ExceptionGroup[Exception]", exception))


async def run_failed(call: Call, failure: Failure, call_method: "HookCaller") -> None:
    """Call the task's `failed` hook with the original exception; implements `Executor.failed`."""
    if failure.exception is not None and is_a(failure.exception, Exception):
        with suppress(Exception):  # it raises the exception that the hook is about to receive
            await call.load()
        await call_method(call, call.as_built().failed, cast("Exception", failure.exception))


HookCaller = Callable[[Call, Callable[[Exception], Any], Exception], Awaitable[Any]]
"""Function that calls a method of a task with an exception, where the executor runs code of tasks."""


async def call_hook(call: Call, method: Callable[[Exception], Any], exception: Exception) -> Any:
    """Call the method on the event loop, and await its result if necessary."""
    try:
        if call.attended:
            await call.enter()
        answer = method(exception)
        return await answer if inspect.isawaitable(answer) else answer
    finally:
        if call.attended:
            await call.leave()


async def await_here(call: Call, answer: Awaitable[Any]) -> Any:
    """Await the value that a method of a sync task returned."""

    async def awaited(_: Exception) -> Any:
        return await answer

    return await call_hook(call, awaited, Exception())
