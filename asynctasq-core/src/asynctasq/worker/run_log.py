"""Log records about runs of tasks: failures with the traceback of the task's code, and repeated runs."""

import logging
from collections.abc import Mapping

from asynctasq.failures import users_traceback
from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import ErrorInfo

logger = logging.getLogger("asynctasq")

_OUTCOMES = {"asynctasq.Reject", "asynctasq.Retry"}
_CHAINED = (
    "\nThe above exception was the direct cause",
    "\nDuring handling of the above exception",
)


def task_fields(delivery: Delivery) -> dict[str, object]:
    """Return the fields of log records about a delivery, for `extra`."""
    message = delivery.message
    return {
        "task_id": id_to_text(message.id),
        "task": message.task,
        "queue": message.queue,
        "attempt": delivery.attempt,
    }


def log_failure(
    level: int,
    message: str,
    *args: object,
    error: ErrorInfo,
    exception: BaseException | None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Log a message with the traceback of an error.

    The record's `exc_text` is the stored traceback, which formatters of the standard library show.
    `exc_info` is set for error trackers if the exception was raised in this process; a child process
    sends only text. An exception without frames of user code is logged as one line, and so is a `Reject` or
    `Retry` without a cause.
    """
    if not logger.isEnabledFor(level):
        return
    path, line, function, _ = logger.findCaller(stacklevel=2)
    exc_info = None
    plain = _is_plain_outcome(error)
    if exception is not None and not plain:
        exc_info = (type(exception), exception, users_traceback(exception))
    record = logger.makeRecord(
        logger.name, level, path, line, message, args, exc_info, function, extra
    )
    if exc_info is not None or ('  File "' in error.traceback and not plain):
        record.exc_text = error.traceback.rstrip()
    logger.handle(record)


def _is_plain_outcome(error: ErrorInfo) -> bool:
    return error.type in _OUTCOMES and not any(each in error.traceback for each in _CHAINED)


def log_second_run(delivery: Delivery) -> None:
    """Log that a task runs again because its former worker was lost."""
    message = delivery.message
    logger.info(
        "Task %s of %s runs again: its worker was lost (%d of %d)",
        id_to_text(message.id),
        message.task,
        delivery.lost,
        message.max_lost,
        extra=task_fields(delivery) | {"lost": delivery.lost},
    )
