"""Going on while the store is unavailable."""

import asyncio
import logging
import random
import threading
from time import monotonic

from asynctasq.errors import DriverError, DriverUnavailable

logger = logging.getLogger("asynctasq")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
REMINDER_SECONDS = 60.0


class Outage:
    """The time from the first call of a worker that the store did not answer to the first after it.

    Logged once at its start, once a minute, and once at its end, however many calls are repeated by
    however many parts of the worker. Any thread may call it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: set[object] = set()
        """Callers whose last call failed."""
        self._since = 0.0
        self._remind_at = 0.0

    def note(self, part: object, what: str, error: Exception) -> None:
        """Log the start of an outage, or that it goes on."""
        with self._lock:
            now = monotonic()
            first = not self._parts
            self._parts.add(part)
            if first:
                self._since = now
            elif now < self._remind_at:
                return
            self._remind_at = now + REMINDER_SECONDS
        if first:
            logger.warning("The store cannot be reached to %s; trying again: %s", what, error)
        else:
            logger.warning(
                "The store cannot be reached to %s, for %.0f s now; trying again: %s",
                what,
                now - self._since,
                error,
            )

    def over(self, part: object) -> None:
        """Note that a part's call was answered, or that it makes no more; log the end of the outage."""
        with self._lock:
            if part not in self._parts:
                return
            self._parts.discard(part)
            if self._parts:
                return
        logger.info("The store can be reached again, after %.1f s.", monotonic() - self._since)


class Backoff:
    """Pauses between attempts of one part of a worker to reach the store: doubling, with jitter."""

    def __init__(self, what: str, outage: Outage) -> None:
        """Make one; nothing has failed yet.

        Args:
            what: the part does, to follow "to".
            outage: shared with the other parts.
        """
        self._what = what
        self._outage = outage
        self._pause = FIRST_PAUSE_SECONDS
        self.failures = 0

    async def after(self, error: DriverUnavailable) -> None:
        """Wait before the next attempt."""
        self.note(error)
        await asyncio.sleep(self._pause * (0.5 + random.random()))
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def note(self, error: DriverError) -> None:
        """Note a failed attempt; for those who have a rhythm of their own."""
        self._outage.note(self, self._what, error)
        self.failures += 1

    def reached(self) -> None:
        """Note that the store has answered."""
        if self.failures:
            self._outage.over(self)
            self._pause, self.failures = FIRST_PAUSE_SECONDS, 0
