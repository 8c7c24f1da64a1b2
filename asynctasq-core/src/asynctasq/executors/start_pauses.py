"""Pauses of an executor that cannot start threads or processes now."""

import logging
import random
from time import monotonic

logger = logging.getLogger("asynctasq")

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class StartPauses:
    """Counts failed starts. The pause grows with each failure, and ends with the first success.

    Failures during a pause count as one, so that many messages at once do not lengthen it.
    """

    def __init__(self, what: str) -> None:
        """Create the pauses for starts of `what`, a noun for log lines."""
        self._what = what
        self._pause = 0.0
        self._until = 0.0

    def failed(self, error: BaseException) -> float:
        """Note a failed start, and return the seconds until the next attempt."""
        now = monotonic()
        if now >= self._until:
            if not self._pause:
                logger.warning(
                    "Could not start %s (%s: %s); releasing the tasks that need one, and retrying",
                    self._what,
                    type(error).__name__,
                    error,
                )
            self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            self._until = now + self._pause
        return self._pause * (0.5 + random.random())

    def succeeded(self) -> None:
        """Note a start that succeeded or was not needed."""
        if self._pause:
            logger.info("Started %s again", self._what)
            self._pause = self._until = 0.0
