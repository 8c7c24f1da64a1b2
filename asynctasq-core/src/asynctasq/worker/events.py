"""The events of a worker: runs and their outcomes, what upkeep found, progress and schedules.

Call the methods of `WorkerEvents` only if its `active` is True. They record facts, and the thread of the lease renewer
publishes those with its own connection. So neither a blocked event loop nor a slow store makes one wait for the other.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.capabilities import Capability, News
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.event_publisher import EventPublisher, EventTiming
from asynctasq.events import EventKind, Fact, Rank, enqueued_fact, order_of
from asynctasq.message import Lease, State
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
)
from asynctasq.worker.in_flight import InFlight, InFlightMessage
from asynctasq.worker.tally import has_completed

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.schedules import Firing

AT_ONCE = EventTiming(delay=0.0)
_ENDS: dict[type[Settlement], EventKind] = {
    Complete: EventKind.COMPLETED,
    Retry: EventKind.RETRIED,
    Fail: EventKind.DEAD,
    Release: EventKind.RELEASED,
    Cancelled: EventKind.CANCELLED,
}


class WorkerEvents(EventPublisher):
    """Publishes what one worker does."""

    def __init__(
        self, capabilities: Capability, *, worker: str, timing: EventTiming = AT_ONCE
    ) -> None:
        """Make the events of one worker.

        Args:
            capabilities: of the driver.
            worker: ID of the worker.
            timing: durations.
        """
        super().__init__(capabilities, timing)
        self.worker = worker

    def worker_started(self) -> None:
        """Publish that the worker fetches tasks."""
        self.add(Fact(EventKind.WORKER_STARTED, time.time(), worker=self.worker))

    def worker_stopped(self) -> None:
        """Publish that the worker has settled its tasks."""
        self.add(Fact(EventKind.WORKER_STOPPED, time.time(), worker=self.worker))

    def started(self, held: InFlightMessage) -> None:
        """Publish that a run starts."""
        self.add(self._fact(EventKind.STARTED, held, time.time(), Rank.STARTED))

    def settled(
        self,
        batch: Sequence[tuple[InFlightMessage, Settlement]],
        answers: Sequence[Settled],
        *,
        uncertain: bool,
    ) -> None:
        """Publish the outcomes that a store has applied. The arguments are those of `Tally.settled`."""
        now = time.time()
        for (held, settlement), answer in zip(batch, answers, strict=False):
            if answer is Settled.DONE or (
                answer is Settled.LOST and (uncertain or has_completed(held))
            ):
                self._settled(held, settlement, now)

    def _settled(self, held: InFlightMessage, settlement: Settlement, now: float) -> None:
        started_at, ended_at = held.started_at, held.ended_at
        seconds = ended_at - started_at if ended_at > started_at > 0.0 else None
        error = None if isinstance(settlement, Complete | Cancelled) else settlement.error
        text = None if error is None else _text(error)
        if isinstance(settlement, Retry) or (
            isinstance(settlement, Fail) and settlement.attempted and seconds is not None
        ):
            self.add(self._fact(EventKind.FAILED, held, now, Rank.FAILED, seconds, text))
        reason = settlement.reason.value if isinstance(settlement, Fail) else None
        kind = _ENDS[type(settlement)]
        self.add(self._fact(kind, held, now, Rank.ENDED, seconds, text, reason))

    def _fact(
        self,
        kind: EventKind,
        held: InFlightMessage,
        at: float,
        rank: int,
        seconds: float | None = None,
        error: str | None = None,
        reason: str | None = None,
        value: bytes | None = None,
    ) -> Fact:
        delivery = held.delivery
        message = delivery.message
        return Fact(
            kind,
            at,
            message.id,
            message.task,
            message.queue,
            delivery.attempt + 1,
            order_of(delivery.lease, rank),
            seconds,
            error,
            reason,
            value,
            self.worker,
        )

    def news(self, news: Sequence[News]) -> None:
        """Publish what the store's upkeep has found."""
        now = time.time()
        for each in news:
            if each.reason is Reason.EXPIRED:
                kinds = [EventKind.EXPIRED]
            elif each.state is not State.DEAD:
                kinds = [EventKind.LOST]
            elif each.reason is Reason.LOST:
                kinds = [EventKind.LOST, EventKind.DEAD]
            else:
                kinds = [EventKind.DEAD]
            if each.state is State.CANCELLED:
                kinds.append(EventKind.CANCELLED)
            owner = each.owner.rpartition("/")[0] if each.owner else None
            for kind in kinds:
                reason = None if each.reason is None else each.reason.value
                self.add(
                    Fact(
                        kind,
                        now,
                        each.id,
                        each.task,
                        each.queue,
                        reason=reason if kind is not EventKind.LOST else None,
                        worker=owner if kind is EventKind.LOST else None,
                    )
                )

    def progress(self, updates: Sequence[tuple[Lease, bytes]], in_flight: InFlight) -> None:
        """Publish progress that the store has. The end of a run may come in between; then it is left out."""
        held = {each.delivery.lease: each for each in in_flight.snapshot()}
        now = time.time()
        for lease, value in updates:
            message = held.get(lease)
            if message is not None:
                self.add(self._fact(EventKind.PROGRESS, message, now, Rank.PROGRESS, value=value))

    def fired(self, firings: "Sequence[Firing]") -> None:
        """Publish that schedules have fired, and that their messages were enqueued."""
        now = time.time()
        for firing in firings:
            task = firing.messages[0].task if firing.messages else None
            queue = firing.messages[0].queue if firing.messages else None
            fact = Fact(EventKind.SCHEDULE_FIRED, now, None, task, queue, schedule=firing.id)
            self.add(fact)
            for message in firing.messages:
                self.add(enqueued_fact(message, now))


def _text(error: ErrorInfo) -> str:
    return f"{error.type}: {error.message}" if error.message else error.type


class PublishEvents:
    """Periodic work of the lease renewer: lends its loop and its driver to the events of the worker."""

    def __init__(self, events: WorkerEvents) -> None:
        self._events = events

    async def run(self, driver: Driver) -> None:
        """Let events be sent from here."""
        self._events.attach(driver)

    async def finish(self, driver: Driver) -> None:  # noqa: ARG002  the signature of periodic work
        """Send the last events."""
        await self._events.finish()
