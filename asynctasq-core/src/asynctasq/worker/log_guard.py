"""The worker's loggers stay enabled, whatever logging configuration the application loads."""

import logging
import sys

OWN = "asynctasq"


class LoggerThatStays(logging.Logger):
    """A logger that `logging.config` cannot disable.

    `dictConfig` and `fileConfig` disable each logger that existed before, unless they are told otherwise.
    A worker would then report nothing: no dead letter, no lost lease, no unavailable store.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, False if name == "disabled" else value)


def keep_loggers_enabled() -> None:
    """Enable the loggers of asynctasq and of its plugins for the rest of this process."""
    known = logging.root.manager.loggerDict
    for name in (OWN, *(each for each in list(known) if each.startswith(OWN))):
        logger = logging.getLogger(name)
        if type(logger) is logging.Logger:
            logger.__class__ = LoggerThatStays
        logger.disabled = False


class SilenceReport:
    """Reports on stderr, once, that errors of the worker are not logged, and why."""

    def __init__(self) -> None:
        self._reported = False

    def check(self) -> None:
        """Look whether an error would be logged now."""
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
        sys.stderr.write(f"asynctasq: errors of this worker are not logged, as {cause}.\n")
        sys.stderr.flush()
