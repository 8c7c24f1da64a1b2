"""The health server as a service of a worker."""

import logging

from asynctasq.worker.health import WorkerHealth, worker_reports
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.services.health_server import HealthServer
from asynctasq.worker.services.service import Failed, OnFailure
from asynctasq.worker.timing import HealthTiming

logger = logging.getLogger("asynctasq")


class HealthService:
    """Serves the health of a worker over HTTP, if `health_port` is given."""

    name = "the health server"
    on_failure = OnFailure.CONTINUE

    def __init__(self, options: WorkerOptions, health: WorkerHealth, timing: HealthTiming) -> None:
        """Make the service; nothing is opened."""
        self._server = (
            None
            if options.health_port is None
            else HealthServer(
                options.health_host, options.health_port, worker_reports(health), timing=timing
            )
        )

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
