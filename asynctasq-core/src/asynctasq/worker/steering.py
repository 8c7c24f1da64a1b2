"""Carrying out requests of operators about a worker."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.worker.health import WorkerHealth

logger = logging.getLogger("asynctasq")


class Steering:
    """Makes a worker quiet, resumes it, or stops it.

    The lease renewer calls `apply` in its own thread. A worker whose event loop is blocked follows when the loop
    continues; its record in the registry shows the request before.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        worker_id: str,
        health: WorkerHealth,
        set_quiet: Callable[[bool], None],
        stop: Callable[[], None],
    ) -> None:
        """Keep the parts.

        Args:
            loop: of the worker.
            worker_id: for log lines.
            health: shows the request.
            set_quiet: makes the fetcher quiet, or not, on the loop.
            stop: stops the worker gracefully, on the loop.
        """
        self._loop = loop
        self._worker_id = worker_id
        self._health = health
        self._set_quiet = set_quiet
        self._stop = stop
        self._applied = WorkerRequest.RUN

    def apply(self, request: WorkerRequest) -> None:
        """Carry out a request, unless that was done before."""
        if request is self._applied or self._applied is WorkerRequest.STOP:
            return
        self._applied = request
        self._health.request = request
        extra = {"worker_id": self._worker_id}
        with suppress(RuntimeError):  # the loop has ended
            if request is WorkerRequest.STOP:
                logger.info("Stopping worker %s as requested", self._worker_id, extra=extra)
                self._loop.call_soon_threadsafe(self._stop)
                return
            is_quiet = request is WorkerRequest.QUIET
            doing = "takes no new messages" if is_quiet else "takes messages again"
            logger.info("Worker %s %s, as requested", self._worker_id, doing, extra=extra)
            self._loop.call_soon_threadsafe(self._set_quiet, is_quiet)
