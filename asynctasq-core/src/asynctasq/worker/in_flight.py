"""One delivery while a worker holds it."""

import asyncio
import logging
from enum import Enum
from typing import TYPE_CHECKING

from asynctasq.message import Delivery, id_to_text

if TYPE_CHECKING:
    from asynctasq.worker.call import WorkerCall

logger = logging.getLogger("asynctasq")

REFUSAL_SECONDS = 5.0
"""A run that has been interrupted and goes on for this long is reported."""


class Interrupt(Enum):
    """Why a run is to end before its time."""

    CANCEL = "cancel"
    """Somebody cancelled the message."""
    LOST = "lost"
    """The lease has ended: another worker may be running it."""
    STOP = "stop"
    """The worker's grace period is over."""


class InFlightMessage:
    """A delivery that this worker holds: in hand, running, or run and not yet settled."""

    __slots__ = ("call", "delivery", "interrupt", "started_at", "task")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.call: WorkerCall | None = None
        self.task: asyncio.Task[None] | None = None
        self.interrupt: Interrupt | None = None
        self.started_at = 0.0
        """Monotonic time at which the run began; 0.0 while in hand."""

    def end_early(self, why: Interrupt) -> None:
        """Interrupt the run. The first reason counts, but a lost lease outdoes the others."""
        if self.interrupt is None or why is Interrupt.LOST:
            self.interrupt = why
        if self.call is not None:
            self.call.interrupt()
        if self.task is not None and self.started_at:
            # Not earlier: a coroutine that is cancelled before its first step never runs at all.
            self.task.cancel()
            if why is not Interrupt.STOP:  # how that ends is told by the engine
                asyncio.get_running_loop().call_later(REFUSAL_SECONDS, self._report_refusal, why)

    def _report_refusal(self, why: Interrupt) -> None:
        if self.task is not None and not self.task.done():
            logger.warning(
                "Task %s of %s was interrupted (%s) %g s ago and still runs, keeping its slot: it "
                "swallows its cancellation, or runs in a thread, which nobody can stop.",
                id_to_text(self.delivery.message.id),
                self.delivery.message.task,
                why.value,
                REFUSAL_SECONDS,
            )
