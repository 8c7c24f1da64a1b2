"""The messages that a worker holds, from the fetch to the settlement."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.checking import name_of, remedy_for
from asynctasq.contracts.driver import Driver
from asynctasq.errors import CapabilityMissing
from asynctasq.message import Delivery, Lease, id_to_text
from asynctasq.worker.run_log import task_fields
from asynctasq.worker.run_notes import RunNotes
from asynctasq.worker.timing import EngineTiming

if TYPE_CHECKING:
    from asynctasq.worker.call import WorkerCall

logger = logging.getLogger("asynctasq")


class Interrupt(Enum):
    """Reasons to end a run early."""

    CANCEL = "cancel"
    """The message was cancelled."""
    LOST = "lost"
    """The lease has expired: another worker may be running the message."""
    STOP = "stop"
    """The worker's grace period has expired."""


class InFlightMessage:
    """A delivery that this worker holds: prefetched, running, or finished and not yet settled."""

    __slots__ = (
        "call",
        "delivery",
        "ended_at",
        "interrupt",
        "notes",
        "refusal",
        "started_at",
        "task",
    )

    def __init__(self, delivery: Delivery, refusal: float = EngineTiming().refusal) -> None:
        """Make the message.

        Args:
            delivery: from the driver.
            refusal: seconds after which an interrupted run that goes on is reported.
        """
        self.delivery = delivery
        self.call: WorkerCall | None = None
        self.task: asyncio.Task[None] | None = None
        self.interrupt: Interrupt | None = None
        self.started_at = 0.0
        """Monotonic time at which the run started; 0.0 while the message is prefetched."""
        self.ended_at = 0.0
        """Monotonic time at which the run ended; 0.0 before."""
        self.refusal = refusal
        self.notes: RunNotes | None = None

    def end_early(self, why: Interrupt) -> None:
        """Interrupt the run. The first reason counts, except that a lost lease overrides the others.

        The lease of a task that has completed itself in a transaction ends with the commit.
        """
        if why is Interrupt.LOST and self.call is not None and self.call.completion is not None:
            return
        if self.interrupt is None or why is Interrupt.LOST:
            self.interrupt = why
        if self.call is not None:
            self.call.interrupt()
        if self.task is not None and self.started_at:
            # Not earlier: a coroutine that is cancelled before its first step never runs at all.
            self.task.cancel()
            if why is not Interrupt.STOP:  # the engine reports those itself
                asyncio.get_running_loop().call_later(self.refusal, self._report_refusal, why)

    def _report_refusal(self, why: Interrupt) -> None:
        if self.task is not None and not self.task.done():
            message = self.delivery.message
            logger.warning(
                "Task %s of %s still runs %g s after it was interrupted (%s), and keeps its slot: it "
                "swallows its cancellation, or runs in a thread, which cannot be stopped",
                id_to_text(message.id),
                message.task,
                self.refusal,
                why.value,
                extra=task_fields(self.delivery),
            )


class InFlight:
    """All messages that one worker holds, with the progress that their tasks have reported.

    The worker's loop changes it. Other threads may call `snapshot` and `take_progress`.
    """

    def __init__(self, driver: Driver) -> None:
        """Make an empty collection.

        Args:
            driver: of the worker; its capabilities decide whether tasks may report progress.
        """
        self._driver = driver
        self.held: set[InFlightMessage] = set()
        """Messages that are prefetched, running, or finished and not yet settled."""
        self.prefetched: deque[InFlightMessage] = deque()
        """Held messages that wait for a slot, in order."""
        self.progress: dict[Lease, bytes] = {}
        """The latest progress of each task that the store does not have yet."""

    def snapshot(self) -> tuple[InFlightMessage, ...]:
        """Return the held messages. Any thread may call this."""
        return tuple(self.held.copy())  # a copy is one atomic step

    def leases(self) -> list[Lease]:
        """Return the leases of the held messages."""
        return [each.delivery.lease for each in self.held]

    def forget(self, settled: Sequence[InFlightMessage]) -> None:
        """Remove messages that are settled, or no longer this worker's."""
        self.held.difference_update(settled)
        if self.progress:
            for each in settled:
                self.progress.pop(each.delivery.lease, None)

    def report(self, delivery: Delivery, progress: bytes) -> None:
        """Keep the progress of a task until the store has it.

        Raises:
            CapabilityMissing: the driver does not store progress.
        """
        if Capability.PROGRESS not in self._driver.capabilities:
            raise CapabilityMissing(
                f"Reporting progress needs the capability PROGRESS, which "
                f"{name_of(self._driver)} does not have. "
                f"{remedy_for(self._driver, Capability.PROGRESS)}"
            )
        self.progress[delivery.lease] = progress

    def take_progress(self) -> list[tuple[Lease, bytes]]:
        """Return the reported progress and forget it. Any thread may call this."""
        taken: list[tuple[Lease, bytes]] = []
        with suppress(KeyError):  # tasks add and remove meanwhile: one atomic step for each
            for _ in range(len(self.progress)):
                taken.append(self.progress.popitem())  # noqa: PERF401  keeps those taken before an error
        return taken
