"""Notifying observers of each message that has ended in this worker, after the answer of the store."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from asynctasq.hookspecs import SettledContext
from asynctasq.plugins.observers import Observers
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
    SettlementKind,
)
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.run_notes import RunNotes
from asynctasq.worker.tally import has_completed

logger = logging.getLogger("asynctasq")

KEPT = 10_000
"""Calls of `on_settled` that wait for slow observers, at most. Further ones are dropped."""
CALLS_AT_ONCE = 100
"""Calls of sync observers after which other work of the loop gets its turn."""

_KINDS: dict[type[Settlement], SettlementKind] = {
    Complete: SettlementKind.COMPLETED,
    Retry: SettlementKind.RETRIED,
    Fail: SettlementKind.DEAD,
    Cancelled: SettlementKind.CANCELLED,
    Release: SettlementKind.RELEASED,
}

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class SettledNotices:
    """Calls `on_settled` once for each message, in the background and in the order of the answers.

    Check `observed` before you call anything else.
    """

    def __init__(self, observers: Observers, worker_id: str, start: Start) -> None:
        """Make the notices of one worker.

        Args:
            observers: of the app.
            worker_id: for the contexts.
            start: starts a coroutine in the background.
        """
        self.observed = bool(observers.on_settled)
        """True if there are observers."""
        self._observers = observers
        self._worker_id = worker_id
        self._start = start
        self._waiting: deque[SettledContext] = deque()
        self._notifying: asyncio.Task[None] | None = None
        self._dropped = 0

    def answered(
        self,
        batch: Sequence[tuple[InFlightMessage, Settlement]],
        answers: Sequence[Settled],
        *,
        uncertain: bool = False,
        repeated: bool = False,
    ) -> None:
        """Note the answers of the store. Those that are REFUSED are not final, and left out.

        Args:
            batch: messages and their settlements.
            answers: of the store, in this order.
            uncertain: an earlier try was not answered. LOST means then that it was applied: the store lets a
                worker keep its leases through an outage.
            repeated: an earlier try may have been applied in part.
        """
        if len(answers) != len(batch):  # the settler repeats such a batch
            return
        for (held, settlement), answer in zip(batch, answers, strict=True):
            if answer is Settled.REFUSED:
                continue
            if answer is not Settled.LOST:
                self.ended(held, settlement, applied=True)
            elif has_completed(held):
                self.completed(held)
            elif uncertain:
                self.ended(held, settlement, applied=True)
            else:
                self.ended(held, settlement, applied=None if repeated else False)

    def completed(self, held: InFlightMessage) -> None:
        """Note a message that its task has completed in a transaction, which was committed."""
        self._add(held, SettlementKind.COMPLETED, applied=True)

    def lost(self, held: InFlightMessage) -> None:
        """Note a message for which nothing is settled: its lease is lost, or is left to expire."""
        self._add(held, SettlementKind.LOST, applied=False)

    def ended(
        self,
        held: InFlightMessage,
        settlement: Settlement,
        *,
        applied: bool | None,
        error: ErrorInfo | None = None,
    ) -> None:
        """Note the final answer for a message.

        Args:
            held: the message.
            settlement: its last one.
            applied: None if that is not known.
            error: the reason for which the store refused the settlement.
        """
        reason: Reason | None = None
        delay: float | None = None
        if isinstance(settlement, Retry):
            error, delay = error or settlement.error, settlement.delay
        elif isinstance(settlement, Fail):
            error, reason = error or settlement.error, settlement.reason
        elif isinstance(settlement, Release):
            error, delay = error or settlement.error, settlement.delay
        self._add(held, _KINDS[type(settlement)], applied, error, reason, delay)

    def _add(
        self,
        held: InFlightMessage,
        kind: SettlementKind,
        applied: bool | None,
        error: ErrorInfo | None = None,
        reason: Reason | None = None,
        retry_delay: float | None = None,
    ) -> None:
        notes = held.notes
        if notes is None:
            held.notes = notes = RunNotes()
        if (
            notes.reported
        ):  # the settler repeats a batch whole, even if only a part was not answered
            return
        notes.reported = True
        if len(self._waiting) >= KEPT:
            if not self._dropped:
                logger.warning(
                    "Observers of on_settled are too slow: %d calls are waiting, and further ones are dropped",
                    KEPT,
                )
            self._dropped += 1
            return
        released = notes.released if kind is SettlementKind.RELEASED else None
        self._waiting.append(
            SettledContext(
                held.delivery,
                self._worker_id,
                kind,
                applied,
                notes.attempt,
                error,
                reason,
                retry_delay,
                released,
                notes.started_at,
                notes.duration,
                time.time(),
            )
        )
        notes.attempt = None  # it may have a large result
        if self._notifying is None or self._notifying.done():
            self._notifying = self._start(self._notify())

    async def _notify(self) -> None:
        calls = 0
        while self._waiting:
            await self._observers.notify(self._observers.on_settled, self._waiting.popleft())
            calls += 1
            if calls % CALLS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._report_dropped()

    def close(self) -> None:
        """Drop the calls that are still waiting, at the end of the worker."""
        if self._notifying is not None:
            self._notifying.cancel()
        self._dropped += len(self._waiting)
        self._waiting.clear()
        self._report_dropped()

    def _report_dropped(self) -> None:
        if self._dropped:
            logger.warning("Observers of on_settled were too slow: dropped %d calls", self._dropped)
            self._dropped = 0
