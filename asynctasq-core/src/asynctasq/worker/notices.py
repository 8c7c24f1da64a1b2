"""Notifying the observers of a worker's messages."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from asynctasq.contracts.executor import AttemptResult
from asynctasq.hookspecs import ExecutionContext
from asynctasq.message import Delivery
from asynctasq.plugins.observers import Observer, Observers
from asynctasq.settlement import ErrorInfo, Reason, ReleaseReason
from asynctasq.worker.run_log import task_fields

logger = logging.getLogger("asynctasq")


class Notices:
    """Calls observers about deliveries, within a run or in the background.

    Check whether a hook has observers before you call `notify`: most hooks have none.
    """

    def __init__(self, observers: Observers, worker_id: str) -> None:
        """Make the notices of one worker; to be called outside of its tasks, whose context they avoid."""
        self.observers = observers
        self._worker_id = worker_id
        self._context = contextvars.copy_context()
        self._background: set[asyncio.Task[None]] = set()

    async def notify(
        self,
        observers: tuple[Observer, ...],
        delivery: Delivery,
        *,
        attempt: AttemptResult | None = None,
        error: ErrorInfo | None = None,
        reason: Reason | None = None,
        retry_delay: float | None = None,
        released: ReleaseReason | None = None,
    ) -> None:
        """Notify the observers of one hook; an interruption ends them and changes nothing else."""
        context = ExecutionContext(
            delivery, self._worker_id, attempt, error, reason, retry_delay, released
        )
        try:
            await self.observers.notify(observers, context)
        except asyncio.CancelledError:
            logger.warning(
                "Observers of task %s were interrupted",
                delivery.message.task,
                extra=task_fields(delivery),
            )

    async def notify_release(
        self, delivery: Delivery, why: ReleaseReason, delay: float = 0.0
    ) -> None:
        """Notify observers of a message that is released."""
        if self.observers.on_release:
            await self.notify(self.observers.on_release, delivery, retry_delay=delay, released=why)

    def released(self, delivery: Delivery, why: ReleaseReason) -> None:
        """Notify observers, in the background, of a message that was released without a run."""
        if self.observers.on_release:
            self._start(self.notify_release(delivery, why))

    def refused(self, delivery: Delivery, error: ErrorInfo) -> None:
        """Notify observers, in the background, of a message that is dead as the store refused its outcome."""
        if self.observers.on_dead:
            self._start(
                self.notify(self.observers.on_dead, delivery, error=error, reason=Reason.REFUSED)
            )

    async def finish(self, seconds: float) -> None:
        """Wait for the notices in the background, up to a limit."""
        if self._background:
            await asyncio.wait(self._background, timeout=seconds)

    def _start(self, notice: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(notice, context=self._context.copy())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
