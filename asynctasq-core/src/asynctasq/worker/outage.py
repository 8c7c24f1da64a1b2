"""Retrying calls to a store that is unavailable, and reporting the outage."""

import asyncio
import logging
import threading
from time import monotonic

from asynctasq.backoff import Backoff
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.worker.timing import STORE_BACKOFF, OutageTiming

logger = logging.getLogger("asynctasq")


class Outage:
    """The time from a worker's first unanswered call to the store until all its parts are answered again.

    An outage is logged at its start, once a minute and at its end, however many calls are repeated by
    however many parts of the worker. Any thread may call it.
    """

    def __init__(self, timing: OutageTiming | None = None) -> None:
        self._timing = timing or OutageTiming()
        self._lock = threading.Lock()
        self._parts: set[object] = set()
        """Callers whose last call failed."""
        self._since = 0.0
        self._remind_at = 0.0

    def note(self, part: object, what: str, error: Exception) -> None:
        """Log the start of an outage, or that it continues."""
        with self._lock:
            now = monotonic()
            first = not self._parts
            self._parts.add(part)
            if first:
                self._since = now
            elif now < self._remind_at:
                return
            self._remind_at = now + self._timing.reminder
        if first:
            logger.warning("Could not reach the store to %s; retrying: %s", what, error)
        else:
            logger.warning(
                "Could not reach the store to %s for %.0f s; retrying: %s",
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
        logger.info("Reached the store again after %.1f s", monotonic() - self._since)


class StoreRetries:
    """Attempts of one part of a worker to reach the store."""

    def __init__(self, what: str, outage: Outage, backoff: Backoff = STORE_BACKOFF) -> None:
        """Make the count; nothing has failed yet.

        Args:
            what: what the part does, worded to follow "to".
            outage: shared with the other parts.
            backoff: pauses between attempts.
        """
        self._what = what
        self._outage = outage
        self._backoff = backoff
        self.failures = 0

    async def after(self, error: DriverUnavailable) -> None:
        """Wait before the next attempt."""
        await asyncio.sleep(self.pause_after(error))

    def pause_after(self, error: DriverError) -> float:
        """Note a failed attempt, and return the pause before the next one."""
        self.note(error)
        return self._backoff.pause(self.failures)

    def note(self, error: DriverError) -> None:
        """Note a failed attempt, without waiting: for callers that have their own interval."""
        self._outage.note(self, self._what, error)
        self.failures += 1

    def reached(self) -> None:
        """Note that the store has answered."""
        if self.failures:
            self._outage.over(self)
            self.failures = 0
