"""Periodic work of the lease renewer: stores the counts of the worker."""

import logging
from time import monotonic

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.metrics import MetricFlush, SupportsMetrics
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverUnavailable
from asynctasq.worker.tally import Tally
from asynctasq.worker.timing import RenewerTiming

logger = logging.getLogger("asynctasq")


class FlushMetrics:
    """Gives the counts of a tally to the store, every few seconds and at the end."""

    def __init__(self, tally: Tally, timing: RenewerTiming) -> None:
        """Make the work.

        Args:
            tally: of the worker.
            timing: durations.
        """
        self._tally = tally
        self._timing = timing
        self._due_at: float | None = None
        self._unanswered: MetricFlush | None = None
        """A flush that the store has not confirmed. It is repeated, with its number."""
        self._failing = False

    async def run(self, driver: Driver) -> None:
        """Store the counts if the interval has passed; the first time an interval after the start."""
        now = monotonic()
        if self._due_at is None:
            self._due_at = now + self._timing.metrics
        if now < self._due_at:
            return
        self._due_at = now + self._timing.metrics
        await self.finish(driver)

    async def finish(self, driver: Driver) -> None:
        """Store everything that was counted."""
        if Capability.METRICS not in driver.capabilities or not isinstance(driver, SupportsMetrics):
            return
        while True:
            if self._unanswered is None:
                self._unanswered = self._tally.take()
            if self._unanswered is None:
                return
            try:
                await driver.add_metrics(self._unanswered)
            except DriverUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  counts must not keep leases from being renewed
                self._report(error)
                return
            self._unanswered = None
            self._failing = False

    def _report(self, error: Exception) -> None:
        if not self._failing:
            logger.warning(
                "Could not store the counts of this worker; trying again every %g s: %s",
                self._timing.metrics,
                error,
            )
        self._failing = True
