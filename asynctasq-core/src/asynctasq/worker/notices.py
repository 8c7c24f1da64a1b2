"""Notifying the observers of a worker's messages."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from asynctasq.contracts.executor import AttemptResult
from asynctasq.hookspecs import ExecutionContext
from asynctasq.plugins.observers import Observer, Observers
from asynctasq.settlement import ErrorInfo, Reason, ReleaseReason
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.run_log import task_fields
from asynctasq.worker.run_notes import RunNotes
from asynctasq.worker.settled_notices import SettledNotices

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
        self.settled = SettledNotices(observers, worker_id, self._start)
        self.has_run_observers = any(
            (
                observers.before_execute,
                observers.after_execute,
                observers.on_retry,
                observers.on_failure,
                observers.on_dead,
                observers.on_lost,
                observers.on_release,
                observers.on_cancel,
                observers.on_settled,
            )
        )
        """True if observers need facts about each run."""

    async def notify(
        self,
        observers: tuple[Observer, ...],
        held: InFlightMessage,
        *,
        attempt: AttemptResult | None = None,
        error: ErrorInfo | None = None,
        reason: Reason | None = None,
        retry_delay: float | None = None,
        released: ReleaseReason | None = None,
    ) -> None:
        """Notify the observers of one hook; an interruption ends them and changes nothing else."""
        notes = held.notes
        context = ExecutionContext(
            held.delivery,
            self._worker_id,
            attempt,
            error,
            reason,
            retry_delay,
            released,
            None if notes is None else notes.started_at,
            None if notes is None else notes.duration,
        )
        try:
            await self.observers.notify(observers, context)
        except asyncio.CancelledError:
            logger.warning(
                "Observers of task %s were interrupted",
                held.delivery.message.task,
                extra=task_fields(held.delivery),
            )

    async def notify_release(
        self, held: InFlightMessage, why: ReleaseReason, delay: float = 0.0
    ) -> None:
        """Notify observers of a message that is released."""
        if held.notes is not None:
            held.notes.released = why
        if self.observers.on_release:
            await self.notify(self.observers.on_release, held, retry_delay=delay, released=why)

    def released(self, held: InFlightMessage, why: ReleaseReason) -> None:
        """Notify observers, in the background, of a message that was released without a run."""
        if not self.has_run_observers:
            return
        if held.notes is None:
            held.notes = RunNotes()
        held.notes.released = why
        if self.observers.on_release:
            _ = self._start(self.notify_release(held, why))

    def refused(self, held: InFlightMessage, error: ErrorInfo) -> None:
        """Notify observers, in the background, of a message that is dead as the store refused its outcome."""
        if self.observers.on_dead:
            _ = self._start(
                self.notify(self.observers.on_dead, held, error=error, reason=Reason.REFUSED)
            )

    async def finish(self, seconds: float) -> None:
        """Wait for the notices in the background, up to a limit."""
        if self._background:
            await asyncio.wait(self._background, timeout=seconds)
        self.settled.close()

    def _start(self, notice: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(notice, context=self._context.copy())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
