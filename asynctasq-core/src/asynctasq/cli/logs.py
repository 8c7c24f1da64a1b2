"""Logging of `asynctasq worker`: readable lines, and one line for each task."""

import logging
import sys
from collections.abc import Mapping
from time import perf_counter

import click

from asynctasq.contracts.executor import AttemptResult, Call, Raised, Returned, Snoozed, Wrapper
from asynctasq.errors import BodyError
from asynctasq.hookspecs import ExecutionContext, hookimpl
from asynctasq.logs.fields import LineFormatter, TaskFields, add_task_fields
from asynctasq.logs.stream import StderrHandler
from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import ReleaseReason
from asynctasq.worker.call import WorkerCall
from asynctasq.worker.run_log import log_failure

logger = logging.getLogger("asynctasq")

COLORS = {
    logging.WARNING: "yellow",
    logging.ERROR: "red",
    logging.CRITICAL: "bright_red",
}

RELEASED: Mapping[ReleaseReason, str] = {
    ReleaseReason.INTERRUPTED: "worker stopping, run interrupted",
    ReleaseReason.NOT_STARTED: "not started by this worker",
    ReleaseReason.STILL_RUNNING: "worker stopping, run could not be interrupted",
}
"""Texts of reasons. Snoozed and mismatched tasks are missing: other lines report them."""
SHOWN_CHARACTERS = 1000
"""Number of characters after which the arguments of a call are cut."""


def configure_logging(level: str | None, style: str | None = None) -> TaskFields:
    """Log to stderr, unless the application has configured logging.

    Args:
        level: without logging of the application, the level of all loggers (default: info);
            otherwise the level of the asynctasq logger (default: unchanged).
        style: `text` or `json`. `json` also changes the handlers of the application.

    In both cases, records get the fields of the task that logged them.
    """
    root = logging.getLogger()
    if root.handlers:
        if level is not None:
            logger.setLevel(level.upper())
    else:
        handler = StderrHandler()
        handler.setFormatter(ColoredLines() if sys.stderr.isatty() else LineFormatter())
        root.addHandler(handler)
        root.setLevel((level or "info").upper())
    return add_task_fields(as_json=style == "json")


class ColoredLines(LineFormatter):
    """Lines with the level in color."""

    def level(self, record: logging.LogRecord) -> str:
        """Return the level as it is printed."""
        level = super().level(record)
        return click.style(level, fg=COLORS.get(record.levelno), dim=record.levelno < 30)


class TaskLog:
    """A local plugin that logs how each attempt finished, except for dead letters, which core logs.

    The arguments of calls may be secret, so they are logged only on request.
    """

    def __init__(self, *, arguments: bool = False) -> None:
        self._arguments = arguments

    @hookimpl(tryfirst=True)
    def wrap_execute(self, call_next: Wrapper) -> Wrapper:
        """Log runs that returned, with their duration."""

        async def timed(call: Call) -> AttemptResult:
            if self._arguments and isinstance(call, WorkerCall):
                shown = _arguments(call)
                logger.info(
                    "%s started with %s", _name(call.delivery), shown, extra={"arguments": shown}
                )
            started = perf_counter()
            attempt = await call_next(call)
            if isinstance(attempt, Returned):
                logger.info("%s completed in %s", _name(call.delivery), _seconds(started))
            elif isinstance(attempt, Snoozed):
                logger.info("%s snoozed for %g s", _name(call.delivery), attempt.delay)
            return attempt

        return timed

    @hookimpl
    def on_retry(self, context: ExecutionContext) -> None:
        """Log a run that failed and will be retried."""
        delivery, error = context.delivery, context.error
        assert error is not None, "a retry has an error"
        log_failure(
            logging.WARNING,
            "%s failed, run %d of %d, next in %g s: %s: %s",
            _name(delivery),
            delivery.attempt + 1,
            delivery.message.max_attempts,
            round(context.retry_delay or 0.0, 3),
            error.type,
            error.message,
            error=error,
            exception=context.attempt.exception if isinstance(context.attempt, Raised) else None,
        )

    @hookimpl
    def on_cancel(self, context: ExecutionContext) -> None:
        """Log a run that was cancelled."""
        logger.info("%s was cancelled", _name(context.delivery))

    @hookimpl
    def on_release(self, context: ExecutionContext) -> None:
        """Log why the worker released a message."""
        why = context.released and RELEASED.get(context.released)
        if why:
            logger.info("%s was released: %s", _name(context.delivery), why)


def _name(delivery: Delivery) -> str:
    return f"Task {id_to_text(delivery.message.id)} of {delivery.message.task}"


def _arguments(call: WorkerCall) -> str:
    """Format the arguments as in the call, shortened; models as their references."""
    try:
        args, kwargs = call.arguments()
        shown = ", ".join([*map(repr, args), *(f"{name}={kwargs[name]!r}" for name in kwargs)])
    except BodyError as error:
        return f"({error})"
    except Exception as error:  # noqa: BLE001  the repr of a user's class
        return f"(not shown: {type(error).__qualname__}: {error})"
    return f"({shown[:SHOWN_CHARACTERS]}{'...' if len(shown) > SHOWN_CHARACTERS else ''})"


def _seconds(started: float) -> str:
    seconds = perf_counter() - started
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
