"""Writes `about` into the settlements that end a message."""

import time
from typing import ClassVar

from asynctasq.about import pack_names, pack_numbers
from asynctasq.message import Delivery, Message
from asynctasq.settlement import Cancelled, Complete, Fail, Settlement

NAMES_REMEMBERED = 2048


class AboutWriter:
    """Packs task, queue, times, attempts and worker for the outcome of each message."""

    enabled: ClassVar[bool] = True
    """Set to False to measure what it costs."""

    def __init__(self, worker: str) -> None:
        """Make a writer.

        Args:
            worker: id of the worker.
        """
        self._worker = worker
        self._names: dict[str, tuple[str, bytes | None]] = {}
        """By task: a queue, and the packed names of both and of the worker."""
        self._on = self.enabled
        self._offset = 0.0
        """Wall clock minus monotonic clock."""
        self.set_clock()

    def set_clock(self) -> None:
        """Read the wall clock, which may have been set meanwhile. Call it once per batch."""
        self._offset = time.time() - time.monotonic()

    def attach(self, settlement: Settlement, delivery: Delivery, started_at: float) -> None:
        """Set `about` of a settlement that ends its message; other settlements have none.

        Args:
            settlement: of the delivery; not yet given to the driver.
            delivery: as it was reserved.
            started_at: monotonic time at which the run started; 0.0 if it did not.
        """
        attempts = delivery.attempt
        if type(settlement) is Complete:
            attempts += 1
        elif type(settlement) is Fail:
            attempts += settlement.attempted
        elif type(settlement) is not Cancelled:
            return
        if not self._on:
            return
        message = delivery.message
        cached = self._names.get(message.task)
        if cached is None or cached[0] != message.queue:
            cached = self._pack(message)
        names = cached[1]
        if names is None:
            return
        now = time.monotonic()
        offset = self._offset
        settlement.about = (  # type: ignore[misc]  # nothing else has it yet
            pack_numbers(
                delivery.enqueued_at,
                delivery.due_at,
                (started_at or now) + offset,
                now + offset,
                attempts,
            )
            + names
        )

    def _pack(self, message: Message) -> tuple[str, bytes | None]:
        if len(self._names) >= NAMES_REMEMBERED:
            self._names.clear()
        names = pack_names(message.task, message.queue, self._worker)
        self._names[message.task] = packed = (message.queue, names)
        return packed
