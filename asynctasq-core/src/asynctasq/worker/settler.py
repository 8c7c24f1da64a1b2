"""Collects settlements and flushes them together: at once when idle, in batches under load."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.failures import error_info
from asynctasq.message import Delivery, id_to_text
from asynctasq.settlement import ErrorInfo, Fail, Reason, Settled, Settlement
from asynctasq.worker.backoff import Backoff, Outage
from asynctasq.worker.in_flight import InFlightMessage
from asynctasq.worker.run_log import log_failure

logger = logging.getLogger("asynctasq")

BATCH_SIZE = 1000
NONSENSE_PAUSE_SECONDS = 1.0
TRIES = 10
"""Times that a settlement is tried which the store refuses in every form, before its lease is left to end."""

_Item = tuple[InFlightMessage, Settlement]


class Settler:
    """Hands settlements to the driver, one batch at a time, in the order in which they came."""

    def __init__(
        self,
        driver: Driver,
        *,
        outage: Outage,
        settled: Callable[[Sequence[InFlightMessage]], None],
        refused: Callable[[Delivery, ErrorInfo], None],
    ) -> None:
        """Make a settler.

        Args:
            driver: opened.
            outage: of the store, as the other parts of the worker see it.
            settled: told of deliveries that are no longer held.
            refused: told of each that is dead for no other reason than that the store refused its outcome.
        """
        self._driver = driver
        self._settled = settled
        self._outage = outage
        self._tell_refused = refused
        self._context = contextvars.copy_context()
        self._pending: deque[_Item] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._again: list[_Item] = []
        """Items of the current batch that were refused in every form, to be tried again."""
        self._tries: dict[InFlightMessage, int] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, running: InFlightMessage, settlement: Settlement) -> None:
        """Settle soon."""
        self._pending.append((running, settlement))
        if self._flushing is None:
            self._begin_flush()

    async def drain(self) -> None:
        """Return when everything that was added is settled."""
        self._begin_flush()
        while self._flushing is not None:
            await asyncio.shield(self._flushing)

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
        """Give up what cannot be settled: its leases end by themselves."""
        if self._flushing is not None:
            logger.error("%d settlements were given up: the store is away.", len(self._pending))
            self._flushing.cancel()
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        patience = Backoff("settle", self._outage)
        try:
            while self._pending:
                batch = list(islice(self._pending, BATCH_SIZE))
                self._again.clear()  # a batch that is repeated is repeated whole
                try:
                    await self._settle(batch, repeated=patience.failures > 0)
                except DriverUnavailable as error:
                    await patience.after(error)
                    continue
                except (
                    Exception
                ):  # a driver that answers nonsense; what it settled is lost on repeating
                    logger.exception("%d settlements failed; trying again.", len(batch))
                    patience.failures += 1
                    await asyncio.sleep(NONSENSE_PAUSE_SECONDS)
                    continue
                patience.reached()
                for _ in batch:
                    self._pending.popleft()
                if not self._again:
                    self._settled([running for running, _ in batch])
                    continue
                kept = {running for running, _ in self._again}
                self._settled([running for running, _ in batch if running not in kept])
                self._pending.extend(self._again)
                await asyncio.sleep(NONSENSE_PAUSE_SECONDS)
        finally:
            self._flushing = None

    async def _settle(self, batch: Sequence[_Item], *, repeated: bool) -> None:
        """Settle a batch; item by item if the store refuses it whole.

        Raises:
            DriverUnavailable: nothing is known of it; repeat.
        """
        try:
            answers = await self._driver.settle([settlement for _, settlement in batch])
        except DriverUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  whatever a driver raises is reported with its message
            if len(batch) == 1:
                await self._refused(batch[0], error)
                return
            for item in batch:
                await self._settle([item], repeated=True)
            return
        for item, answer in zip(batch, answers, strict=True):
            if answer is Settled.REFUSED:
                await self._refused(item, DriverError("the store cannot hold its outcome"))
            elif answer is Settled.LOST and not repeated:
                logger.warning(
                    "The lease of task %s of %s had ended before it was settled; its outcome is discarded.",
                    id_to_text(item[0].delivery.message.id),
                    item[0].delivery.message.task,
                )

    async def _refused(self, item: _Item, refusal: Exception) -> None:
        """Bury a message whose settlement the store refuses."""
        running, settlement = item
        message = running.delivery.message
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
        )
        try:
            [answer] = await self._driver.settle(
                [Fail(running.delivery.lease, Reason.REFUSED, error)]
            )
        except DriverUnavailable:
            raise
        except Exception:
            # Forgotten now, the message would be given back, uncounted, and run a second time.
            tries = self._tries[running] = self._tries.get(running, 0) + 1
            if tries < TRIES:
                self._again.append(item)
                return
            del self._tries[running]
            logger.exception(
                "Task %s cannot be settled at all; its lease ends by itself.", message.task
            )
            return
        self._tries.pop(running, None)
        if answer is Settled.DONE and not isinstance(settlement, Fail):
            self._tell_refused(running.delivery, error)
