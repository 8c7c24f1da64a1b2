"""Writes `about` into the settlements that end a message."""

import time
from collections.abc import Iterable
from struct import error
from typing import ClassVar, Protocol

from asynctasq.about import VERSION, pack_fields, pack_names, pack_numbers
from asynctasq.message import Delivery, Message
from asynctasq.settlement import Cancelled, Complete, Fail, Settlement

NAMES_REMEMBERED = 2048


class Ended(Protocol):
    """A run that has ended; its times are monotonic."""

    @property
    def delivery(self) -> Delivery: ...

    @property
    def started_at(self) -> float: ...

    @property
    def ended_at(self) -> float: ...


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

    def attach(self, settled: Iterable[tuple[Ended, Settlement]]) -> None:
        """Set `about` of the settlements that end their messages; other settlements have none.

        Args:
            settled: runs and their settlements, which are not yet given to the driver.
        """
        if not self._on:
            return
        offset = time.time() - time.monotonic()  # again for each batch: the wall clock may be set
        known = self._names
        for run, settlement in settled:
            delivery = run.delivery
            kind = type(settlement)
            if kind is Complete:
                attempts = delivery.attempt + 1
            elif type(settlement) is Fail:
                attempts = delivery.attempt + settlement.attempted
            elif kind is Cancelled:
                attempts = delivery.attempt
            else:
                continue
            message = delivery.message
            queue, names = known.get(message.task) or self._pack(message)
            if queue != message.queue:
                _, names = self._pack(message)
            if names is None:
                continue
            started, ended = run.started_at + offset, run.ended_at + offset
            try:
                numbers = pack_fields(
                    VERSION, delivery.enqueued_at, delivery.due_at, started, ended, attempts
                )
            except error:  # too many attempts
                numbers = pack_numbers(
                    delivery.enqueued_at, delivery.due_at, started, ended, attempts
                )
            settlement.about = numbers + names  # type: ignore[misc,union-attr]  # nothing else has it yet

    def _pack(self, message: Message) -> tuple[str, bytes | None]:
        if len(self._names) >= NAMES_REMEMBERED:
            self._names.clear()
        names = pack_names(message.task, message.queue, self._worker)
        self._names[message.task] = packed = (message.queue, names)
        return packed
