"""One delivery while a worker holds it."""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from asynctasq.message import Delivery

if TYPE_CHECKING:
    from asynctasq.worker.call import WorkerCall


class Interrupt(Enum):
    """Why a run is to end before its time."""

    CANCEL = "cancel"
    """Somebody cancelled the message."""
    LOST = "lost"
    """The lease has ended: another worker may be running it."""
    STOP = "stop"
    """The worker's grace period is over."""


class Running:
    """A delivery that this worker holds: in hand, running, or run and not yet settled."""

    __slots__ = ("call", "delivery", "interrupt", "started_at", "task")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.call: WorkerCall | None = None
        self.task: asyncio.Task[None] | None = None
        self.interrupt: Interrupt | None = None
        self.started_at = 0.0
        """Loop time at which the run began; 0.0 while in hand."""

    def end_early(self, why: Interrupt) -> None:
        """Interrupt the run. The first reason counts, but a lost lease outdoes the others."""
        if self.interrupt is None or why is Interrupt.LOST:
            self.interrupt = why
        if self.call is not None:
            self.call.interrupt()
        if self.task is not None and self.started_at:
            # Not earlier: a coroutine that is cancelled before its first step never runs at all.
            self.task.cancel()
