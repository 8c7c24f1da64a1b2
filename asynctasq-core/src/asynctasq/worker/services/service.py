"""Worker services: parts that run beside the fetcher for as long as a worker runs."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from enum import Enum
from functools import partial
from typing import Protocol

from asynctasq.worker.life import Closing, Life

logger = logging.getLogger("asynctasq")

Failed = Callable[[BaseException], None]
"""Reports the error that has ended a running service; to be called on the worker's loop."""


class OnFailure(Enum):
    """Reactions of a worker to the failure of a service while it runs."""

    STOP_WORKER = "stop the worker"
    """The worker cannot run without the service: it stops gracefully."""
    CONTINUE = "continue"
    """The worker logs the error and runs without the service."""


class WorkerService(Protocol):
    """A part of a worker that the engine starts and stops.

    An error in `start` always fails the start of the worker.
    """

    @property
    def name(self) -> str:
        """The name, worded to follow "starting" and "closing": "the lease renewer"."""
        ...

    @property
    def on_failure(self) -> OnFailure:
        """The policy for an error after the start."""
        ...

    async def start(self, failed: Failed, /) -> None:
        """Start on the worker's loop, before any task runs.

        Args:
            failed: to be called if the service ends with an error later.
        """
        ...

    async def stop(self) -> None:
        """Stop, even if `start` has failed. All messages are settled by now."""
        ...


class Services:
    """The services of one worker, started in order and stopped in reverse order."""

    def __init__(
        self,
        services: Sequence[WorkerService],
        *,
        life: Life,
        closing: Closing,
        stop_worker: Callable[[], None],
    ) -> None:
        """Make the collection; nothing is started.

        Args:
            services: in the order of their start.
            life: of the worker, to name a service that hangs.
            closing: limits the time for each to stop.
            stop_worker: stops the worker gracefully.
        """
        self._services = services
        self._life = life
        self._closing = closing
        self._stop_worker = stop_worker

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all services; the stack stops them."""
        for service in self._services:
            self._life.doing = f"starting {service.name}"
            stack.push_async_callback(self._closing.close, service.name, service.stop)
            await service.start(partial(self._failed, service))

    def _failed(self, service: WorkerService, error: BaseException) -> None:
        stops = service.on_failure is OnFailure.STOP_WORKER
        logger.error(
            "A worker service failed: %s; %s",
            service.name,
            "stopping the worker" if stops else "the worker continues without it",
            exc_info=error,
            extra={"service": service.name},
        )
        if stops:
            self._stop_worker()
