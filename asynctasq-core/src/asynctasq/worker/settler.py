"""Collects settlements and flushes them together: at once when idle, in batches under load."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.failures import error_info
from asynctasq.message import id_to_text
from asynctasq.settlement import Fail, Reason, Settled, Settlement
from asynctasq.worker.about_writer import AboutWriter
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.fetcher import Fetcher
from asynctasq.worker.in_flight import InFlight, InFlightMessage
from asynctasq.worker.notices import Notices
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.run_log import log_failure, task_fields
from asynctasq.worker.tally import Tally, has_completed
from asynctasq.worker.timing import SettlerTiming

logger = logging.getLogger("asynctasq")

BATCH_SIZE = 1000
TRIES = 10
"""Number of attempts to settle a message that the store refuses in every form; then its lease expires."""

_Item = tuple[InFlightMessage, Settlement]


class Settler:
    """Passes settlements to the driver, one batch at a time, in the order in which they came."""

    def __init__(
        self,
        driver: Driver,
        *,
        worker: str,
        in_flight: InFlight,
        fetcher: Fetcher,
        notices: Notices,
        outage: Outage,
        tally: Tally,
        events: WorkerEvents,
        timing: SettlerTiming,
    ) -> None:
        """Make a settler.

        Args:
            driver: opened.
            worker: ID of the worker, for `about`.
            in_flight: the messages that the worker holds; settled ones are removed.
            fetcher: notified when messages are settled.
            notices: for messages that are dead only because the store refused their outcome.
            outage: shared with the other parts of the worker.
            tally: counts what the store has applied.
            events: publish what the store has applied.
            timing: durations.
        """
        self._driver = driver
        self._about = AboutWriter(worker)
        self._in_flight = in_flight
        self._fetcher = fetcher
        self._notices = notices
        self._outage = outage
        self._tally = tally
        self._events = events
        self._timing = timing
        self._context = contextvars.copy_context()
        self._pending: deque[_Item] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._again: list[_Item] = []
        """Items of the current batch that were refused in every form and are tried again."""
        self._settled_alone: set[InFlightMessage] = set()
        """Messages of the current batch that were settled one by one, before the store went away."""
        self._tries: dict[InFlightMessage, int] = {}
        self._uncertain = False
        """True if an earlier try of the current batch was not answered."""

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, message: InFlightMessage, settlement: Settlement) -> None:
        """Settle a message soon."""
        self._pending.append((message, settlement))
        if self._flushing is None:
            self._begin_flush()

    async def drain(self) -> None:
        """Return when everything that was added is settled."""
        self._begin_flush()
        while self._flushing is not None:
            await asyncio.wait([self._flushing])  # a cancellation ends the wait, not the flush

    def _begin_flush(self) -> None:
        if self._flushing is not None or not self._pending:
            return
        flush = self._flush()
        try:
            self._flushing = asyncio.get_running_loop().create_task(
                flush,
                context=self._context,  # not that of the task that has just ended
            )
        except BaseException:  # the next settlement is flushed together with this one
            flush.close()
            raise

    async def abandon(self) -> None:
        """Discard the settlements that the store does not take: their leases expire."""
        if self._flushing is not None:
            logger.error("Discarded %d settlements: store unavailable", len(self._pending))
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
            if self._notices.settled.observed:
                for message, settlement in self._pending:
                    self._notices.settled.ended(message, settlement, applied=None)

    async def _flush(self) -> None:
        retries = StoreRetries("settle messages", self._outage, self._timing.backoff)
        try:
            while self._pending:
                batch = list(islice(self._pending, BATCH_SIZE))
                left = batch
                if self._settled_alone:
                    left = [item for item in batch if item[0] not in self._settled_alone]
                self._about.attach(left)
                self._again.clear()  # what is left of a batch is repeated whole
                self._uncertain = retries.failures > 0
                try:
                    await self._settle(left, repeated=self._uncertain)
                except DriverUnavailable as error:
                    await retries.after(error)
                    continue
                except Exception:  # an invalid answer; items that it settled are LOST on repeating
                    logger.exception("Settling %d messages failed; retrying", len(batch))
                    retries.failures += 1
                    await asyncio.sleep(self._timing.failed)
                    continue
                retries.reached()
                self._settled_alone.clear()
                for _ in batch:
                    self._pending.popleft()
                if not self._again:
                    self._forget([message for message, _ in batch])
                    continue
                kept = {message for message, _ in self._again}
                self._forget([message for message, _ in batch if message not in kept])
                self._pending.extend(self._again)
                await asyncio.sleep(self._timing.failed)
        finally:
            self._flushing = None

    def _forget(self, settled: Sequence[InFlightMessage]) -> None:
        self._in_flight.forget(settled)
        self._fetcher.notice()

    async def _settle(self, batch: Sequence[_Item], *, repeated: bool) -> None:
        """Settle a batch; item by item if the store refuses it whole.

        Raises:
            DriverUnavailable: the outcome is unknown; repeat.
        """
        try:
            answers = await self._driver.settle([settlement for _, settlement in batch])
        except DriverUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  reported with its message
            if len(batch) == 1:
                await self._refused(batch[0], error)
                return
            for item in batch:
                await self._settle([item], repeated=True)
                if not self._again or self._again[-1] is not item:
                    self._settled_alone.add(item[0])
            return
        self._note_settled(batch, answers)
        if self._notices.settled.observed:
            self._notices.settled.answered(
                batch, answers, uncertain=self._uncertain, repeated=repeated
            )
        for item, answer in zip(batch, answers, strict=True):
            if answer is Settled.REFUSED:
                await self._refused(item, DriverError("the store cannot hold its outcome"))
            elif answer is Settled.LOST and not repeated and not has_completed(item[0]):
                logger.warning(
                    "Discarded the outcome of task %s of %s: its lease expired before it was settled",
                    id_to_text(item[0].delivery.message.id),
                    item[0].delivery.message.task,
                    extra=task_fields(item[0].delivery),
                )

    def _note_settled(self, batch: Sequence[_Item], answers: Sequence[Settled]) -> None:
        self._tally.settled(batch, answers, uncertain=self._uncertain)
        if self._events.active and len(answers) == len(batch):
            self._events.settled(batch, answers, uncertain=self._uncertain)

    async def _refused(self, item: _Item, refusal: Exception) -> None:
        """Move a message whose settlement the store refuses to the dead letters."""
        held, settlement = item
        message = held.delivery.message
        refused = DriverError(f"{type(settlement).__name__} was refused: {refusal}")
        refused.__cause__ = refusal
        error = error_info(refused)
        log_failure(
            logging.ERROR,
            "Task %s of %s: %s",
            id_to_text(message.id),
            message.task,
            error.message,
            error=error,
            exception=refused,
            extra=task_fields(held.delivery),
        )
        fail = Fail(held.delivery.lease, Reason.REFUSED, error)
        self._about.attach([(held, fail)])
        try:
            [answer] = await self._driver.settle([fail])
        except DriverUnavailable:
            raise
        except Exception:
            # If it were forgotten now, the message would be released, uncounted, and run a second time.
            tries = self._tries[held] = self._tries.get(held, 0) + 1
            if tries < TRIES:
                self._again.append(item)
                return
            del self._tries[held]
            logger.exception(
                "Could not settle task %s of %s in any form; its lease expires",
                id_to_text(message.id),
                message.task,
                extra=task_fields(held.delivery),
            )
            if self._notices.settled.observed:
                self._notices.settled.ended(held, settlement, applied=False, error=error)
            return
        self._tries.pop(held, None)
        self._note_settled([(held, fail)], [answer])
        if self._notices.settled.observed:
            if answer is Settled.REFUSED:
                self._notices.settled.ended(held, fail, applied=False)
            else:
                self._notices.settled.answered([(held, fail)], [answer], uncertain=self._uncertain)
        if answer is Settled.DONE and not isinstance(settlement, Fail):
            self._notices.refused(held, error)
