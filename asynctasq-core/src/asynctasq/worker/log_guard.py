"""Keeps the worker's loggers enabled and their calls safe, with any logging configuration."""

import logging
import sys
from contextlib import suppress

OWN = "asynctasq"


class PersistentLogger(logging.Logger):
    """A logger that `logging.config` cannot disable.

    `dictConfig` and `fileConfig` disable all existing loggers by default. A worker would then report
    nothing: no dead letter, no lost lease, no unavailable store.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, False if name == "disabled" else value)

    def handle(self, record: logging.LogRecord) -> None:
        """Pass a record to filters and handlers, and contain their errors.

        For example, a filter may need a web request, or a formatter may fail to show an exception. That must
        not change the outcome of a task, or end the worker. The record is written to stderr instead.
        """
        try:
            super().handle(record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a lost record is better than a lost worker
            _write_instead(record, type(error))


def _write_instead(record: logging.LogRecord, error: type[BaseException]) -> None:
    """Write a record that could not be logged to stderr, in one line."""
    with suppress(Exception):  # stderr may be closed or full
        try:
            text = record.getMessage()
        except BaseException:  # noqa: BLE001  an argument whose text cannot be asked for
            text = str(record.msg)
        shown = text if text.isprintable() else ascii(text)
        sys.stderr.write(
            f"asynctasq: logging failed ({error.__name__}): {record.levelname}: {shown}\n"
        )
        sys.stderr.flush()


def keep_loggers_enabled() -> None:
    """Enable the loggers of asynctasq and of its plugins for the rest of this process."""
    known = logging.root.manager.loggerDict
    for name in (OWN, *(each for each in list(known) if each.startswith(OWN))):
        logger = logging.getLogger(name)
        if type(logger) is logging.Logger:
            logger.__class__ = PersistentLogger
        logger.disabled = False


class SilenceReport:
    """Reports once on stderr that errors of the worker are not logged, with the cause."""

    def __init__(self) -> None:
        self._reported = False

    def check(self) -> None:
        """Check whether an error would be logged now."""
        logger = logging.getLogger(OWN)
        if self._reported or logger.isEnabledFor(logging.ERROR) or sys.stderr is None:
            return
        self._reported = True
        limit = logging.root.manager.disable
        cause = (
            f"logging.disable({limit}) was called"
            if limit >= logging.ERROR
            else f"the level of its logger {OWN!r} is {logging.getLevelName(logger.getEffectiveLevel())}"
        )
        sys.stderr.write(f"asynctasq: errors of this worker are not logged, as {cause}\n")
        sys.stderr.flush()
