"""Pauses of an executor that cannot start threads or processes at the moment."""

import logging
import random
from time import monotonic

logger = logging.getLogger("asynctasq")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class StartPauses:
    """Counts failed starts: the pause doubles from failure to failure, and ends with the first success.

    Failures within one pause belong together, so that many messages at once do not lengthen it.
    """

    def __init__(self, what: str) -> None:
        """Make pauses for starts of `what`, which log lines name."""
        self._what = what
        self._pause = 0.0
        self._until = 0.0

    def failed(self, error: BaseException) -> float:
        """Note a failed start; returns the seconds after which to try again."""
        now = monotonic()
        if now >= self._until:
            if not self._pause:
                logger.warning(
                    "Cannot start %s (%s: %s); releasing the tasks that need one, trying again.",
                    self._what,
                    type(error).__name__,
                    error,
                )
            self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            self._until = now + self._pause
        return self._pause * (0.5 + random.random())

    def succeeded(self) -> None:
        """Note that a start was possible, or not needed."""
        if self._pause:
            logger.info("Starting %s is possible again.", self._what)
            self._pause = self._until = 0.0
