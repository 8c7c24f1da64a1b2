"""Going on while the store is away."""

import asyncio
import logging
import random

from asynctasq.errors import DriverError, DriverUnavailable

logger = logging.getLogger("asynctasq")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0


class Patience:
    """Pauses between attempts to reach a store: doubling, with jitter, told in the log once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pause = FIRST_PAUSE_SECONDS
        self.failures = 0

    async def after(self, error: DriverUnavailable) -> None:
        """Wait before the next attempt."""
        self.note(error)
        await asyncio.sleep(self._pause * (0.5 + random.random()))
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def note(self, error: DriverError) -> None:
        """One more attempt has failed; for those who have a rhythm of their own."""
        if self.failures == 0:
            logger.warning("The store cannot be reached to %s; trying again: %s", self._what, error)
        self.failures += 1

    def reached(self) -> None:
        """The store has answered."""
        if self.failures:
            logger.info("The store can be reached again to %s.", self._what)
            self._pause, self.failures = FIRST_PAUSE_SECONDS, 0
