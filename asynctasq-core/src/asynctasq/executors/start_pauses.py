"""Pauses of an executor that cannot start threads or processes now."""

import logging
import random
from time import monotonic

from asynctasq.backoff import Backoff

logger = logging.getLogger("asynctasq")

BACKOFF = Backoff(first=0.5, longest=30.0)
"""Pauses after failures in a row, before they are spread at random."""


class StartPauses:
    """Counts failed starts. The pause grows with each failure, and ends with the first success.

    Failures during a pause count as one, so that many messages at once do not lengthen it.
    """

    def __init__(self, what: str) -> None:
        """Create the pauses for starts of `what`, a noun for log lines."""
        self._what = what
        self._failures = 0
        self._until = 0.0

    def failed(self, error: BaseException) -> float:
        """Note a failed start, and return the seconds until the next attempt."""
        now = monotonic()
        if now >= self._until:
            if not self._failures:
                logger.warning(
                    "Could not start %s (%s: %s); releasing the tasks that need one, and retrying",
                    self._what,
                    type(error).__name__,
                    error,
                )
            self._failures += 1
            self._until = now + BACKOFF.pause(self._failures)
        return BACKOFF.pause(self._failures) * (0.5 + random.random())

    def succeeded(self) -> None:
        """Note a start that succeeded or was not needed."""
        if self._failures:
            logger.info("Started %s again", self._what)
            self._failures = 0
            self._until = 0.0
