"""The health server as a service of a worker."""

import logging

from asynctasq.exposition import Page, metrics_page
from asynctasq.worker.health import WorkerHealth, worker_reports
from asynctasq.worker.metric_reports import MetricReports
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.services.health_answers import Query
from asynctasq.worker.services.health_server import HealthServer
from asynctasq.worker.services.service import Failed, OnFailure
from asynctasq.worker.timing import HealthTiming

logger = logging.getLogger("asynctasq")


class HealthService:
    """Serves the health and the metrics of a worker over HTTP, if `health_port` is given."""

    name = "the health server"
    on_failure = OnFailure.CONTINUE

    def __init__(self, options: WorkerOptions, health: WorkerHealth, timing: HealthTiming) -> None:
        """Make the service; nothing is opened."""
        self._health = health
        self._server = (
            None
            if options.health_port is None
            else HealthServer(
                options.health_host,
                options.health_port,
                worker_reports(health),
                pages={"/metrics": self._metrics},
                timing=timing,
            )
        )

    def _metrics(self, query: Query) -> Page:
        return metrics_page(MetricReports().families([self._health.metrics()]), query.accept)

    async def start(self, failed: Failed) -> None:
        """Listen, from separate threads.

        Raises:
            ConfigurationError: the address cannot be used.
        """
        if self._server is not None:
            self._server.open(failed)

    async def stop(self) -> None:
        """Stop listening, and close the connections."""
        if self._server is not None:
            self._server.close()
