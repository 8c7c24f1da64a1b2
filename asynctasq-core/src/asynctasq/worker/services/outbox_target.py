"""The part of the outbox relay that forwards the messages of one store."""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from time import monotonic

from asynctasq.contracts.capabilities.outbox import Outbox, OutboxRow, Refusal
from asynctasq.contracts.driver import Driver, EnqueuedPartly
from asynctasq.dispatch.enqueue_batcher import CHUNK_BYTES, CHUNK_MESSAGES
from asynctasq.dispatch.outbox import message_of
from asynctasq.dispatch.stores import Store
from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable
from asynctasq.message import Message, id_to_text
from asynctasq.records import record
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.timing import OutboxTiming

logger = logging.getLogger("asynctasq")

ERROR_LENGTH = 2_000
"""Characters of an error that are kept with a row."""


@record
class _Parcel:
    """A row and its message."""

    row: OutboxRow
    message: Message


class _Pass:
    """The answers of the store to the rows of one pass."""

    def __init__(self) -> None:
        self.any_accepted = False
        self.refused: list[tuple[OutboxRow, Exception]] = []


class StoreUnavailable(Exception):
    """The store that messages are forwarded to could not be reached."""


class TargetRelay:
    """Forwards messages to one store: at least once, in order, in bounded batches.

    A row is deleted after the store has accepted its message. So a relay that is killed in between sends it
    again, which changes nothing in a store that knows its ID. A refusal counts only if the store accepts other
    messages: a store without memory, or with a new password, refuses all of them.
    """

    def __init__(
        self, outbox: Outbox, store: Store, timing: OutboxTiming, stopping: asyncio.Event
    ) -> None:
        """Make the relay of one store.

        Args:
            outbox: opened.
            store: that the messages are for.
            timing: durations.
            stopping: set when the worker stops.
        """
        self._outbox = outbox
        self._store = store
        self._timing = timing
        self._stopping = stopping
        self._holder = os.urandom(16)
        self._holds = False
        self._woken = asyncio.Event()
        self._reading = StoreRetries("read the outbox", Outage(), timing.backoff)
        self._sending = StoreRetries("forward messages of the outbox", Outage(), timing.backoff)
        self._refused = Repeated("Forwarding messages of the outbox failed")
        self._refuses_all = Repeated("The store refused every message of the outbox")
        self._is_accepting = False
        """True if the store has accepted a message since it refused one that it had not refused before."""
        self._fruitless = 0
        """Passes without an accepted message, in a row."""

    def wake(self) -> None:
        """Look at once, because a transaction was committed or the worker stops."""
        self._woken.set()

    async def run(self) -> None:
        """Forward messages until the worker stops."""
        while not self._stopping.is_set():
            pause = 0.0
            try:
                self._woken.clear()
                if not await self._forward():
                    pause = self._timing.look
            except StoreUnavailable as error:
                pause = self._sending.pause_after(_cause(error))
            except DriverUnavailable as error:
                pause = self._reading.pause_after(error)
            except Exception as error:  # noqa: BLE001  no error may end the relay
                self._refused.log(error)
                pause = self._timing.failed
            else:
                self._refused.is_over()
            if pause:
                wakes = self._woken if pause == self._timing.look else self._stopping
                await rest(wakes, pause)
        await self._release()

    async def drain(self) -> None:
        """Forward all messages that wait, unless another relay does that. An error ends it, and is logged."""
        try:
            while await self._forward():
                pass
        except StoreUnavailable as error:
            self._sending.note(_cause(error))
        except DriverUnavailable as error:
            self._reading.note(error)
        except Exception as error:  # noqa: BLE001  the next look tries again
            self._refused.log(error)

    async def _forward(self) -> bool:
        """Forward the next rows; return whether there were any."""
        hold_ends_at = monotonic() + self._timing.hold
        rows = await self._outbox.take(
            self._store.target,
            holder=self._holder,
            lease=self._timing.hold,
            limit=CHUNK_MESSAGES,
        )
        self._reading.reached()
        if not rows:
            await self._release()
            return False
        self._holds = True
        parcels = await self._readable(rows)
        answers = _Pass()
        try:
            for batch in batches(parcels):
                # Another relay may send these rows once the hold has ended.
                if monotonic() > hold_ends_at - self._timing.margin or self._stopping.is_set():
                    break
                await self._send(batch, answers)
        finally:
            await self._judge(answers)
        return True

    async def _readable(self, rows: Sequence[OutboxRow]) -> list[_Parcel]:
        """Return rows with their messages; set aside those that are damaged."""
        parcels: list[_Parcel] = []
        damaged: list[tuple[OutboxRow, Exception]] = []
        for row in rows:
            try:
                parcels.append(_Parcel(row, message_of(row)))
            except BodyCorrupt as error:
                damaged.append((row, error))
        await self._refuse([Refusal(row.id, _text_of(error), None) for row, error in damaged])
        return parcels

    async def _send(self, batch: Sequence[_Parcel], answers: _Pass) -> None:
        """Send a batch; if the store refuses it, halves of it, down to the messages to blame."""
        driver = await self._driver()
        messages = [parcel.message for parcel in batch]
        try:
            enqueued = await driver.enqueue(messages)
        except EnqueuedPartly as partly:
            await self._sent_partly(batch, partly, answers)
        except DriverUnavailable as error:
            raise StoreUnavailable from error
        except Exception as error:  # noqa: BLE001  whatever a driver raises concerns these rows alone
            if len(batch) == 1:
                answers.refused.append((batch[0].row, error))
            else:
                middle = len(batch) // 2
                await self._send(batch[:middle], answers)
                await self._send(batch[middle:], answers)
        else:
            answers.any_accepted = True
            self._sending.reached()
            await self._publish(messages, enqueued)
            await self._outbox.delete([parcel.row.id for parcel in batch])

    async def _publish(self, messages: Sequence[Message], answers: Sequence[object]) -> None:
        events = (await self._store.connection()).batcher.events
        if events.active:
            events.enqueued(messages, answers)

    async def _driver(self) -> Driver:
        try:
            return (await self._store.connection()).driver
        except DriverUnavailable as error:
            raise StoreUnavailable from error

    async def _sent_partly(
        self, batch: Sequence[_Parcel], partly: EnqueuedPartly, answers: _Pass
    ) -> None:
        await self._publish([parcel.message for parcel in batch], partly.answers)
        accepted: list[bytes] = []
        unanswered: DriverUnavailable | None = None
        for parcel, answer in zip(batch, partly.answers, strict=True):
            if isinstance(answer, DriverUnavailable):
                unanswered = answer
            elif isinstance(answer, DriverError):
                answers.refused.append((parcel.row, answer))
            else:
                accepted.append(parcel.row.id)
        answers.any_accepted = answers.any_accepted or bool(accepted)
        await self._outbox.delete(accepted)
        if unanswered is not None:
            raise StoreUnavailable from unanswered
        self._sending.reached()

    async def _judge(self, answers: _Pass) -> None:
        """Keep refused rows for a later attempt; set those aside that have had enough attempts."""
        refused = answers.refused
        if answers.any_accepted:
            self._is_accepting, self._fruitless = True, 0
            self._refuses_all.is_over()
        elif refused:
            self._fruitless += 1
            if not all(row.attempts for row, _ in refused):
                self._is_accepting = False
        if refused and not self._is_accepting:
            self._refuses_all.log(refused[-1][1])
        await self._refuse([self._refusal(row, error) for row, error in refused])

    def _refusal(self, row: OutboxRow, error: Exception) -> Refusal:
        text, attempts = _text_of(error), row.attempts + 1
        if not self._is_accepting:
            pause = self._timing.refused_all.pause(self._fruitless)
            return Refusal(row.id, text, pause, is_counted=False)
        is_last = attempts >= self._timing.attempts
        return Refusal(row.id, text, None if is_last else self._timing.refused.pause(attempts))

    async def _refuse(self, refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        await self._outbox.refuse(refusals)
        for refusal in refusals:
            if refusal.retry_in is None:
                logger.error(
                    "Set aside a message of the outbox: %s",
                    refusal.error,
                    extra={"task_id": id_to_text(refusal.id), "store": self._store.target},
                )

    async def _release(self) -> None:
        """Let another relay go on, if this one holds its target."""
        if self._holds:
            try:
                await self._outbox.release(self._store.target, holder=self._holder)
            except DriverError as error:
                logger.debug("Could not release the outbox; the hold ends on its own: %s", error)
            self._holds = False


class Repeated:
    """Logs an error once, however often it is repeated."""

    def __init__(self, event: str) -> None:
        """Make it; nothing has failed yet.

        Args:
            event: the log line.
        """
        self._event = event
        self._last = ""

    def log(self, error: Exception) -> None:
        """Log an error with its traceback, unless the last one was the same."""
        text = f"{type(error).__name__}: {error}"
        if text != self._last:
            self._last = text
            logger.error("%s; retrying", self._event, exc_info=error)

    def is_over(self) -> None:
        """Note that a call has succeeded."""
        self._last = ""


def batches(parcels: Sequence[_Parcel]) -> Iterator[list[_Parcel]]:
    """Yield batches of at most 1 MB, or a single larger message. Refused rows are sent alone."""
    batch: list[_Parcel] = []
    size = 0
    for parcel in parcels:
        length = len(parcel.row.message)
        if batch and (size + length > CHUNK_BYTES or parcel.row.attempts):
            yield batch
            batch, size = [], 0
        batch.append(parcel)
        size += length
    if batch:
        yield batch


async def rest(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or for so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _text_of(error: Exception) -> str:
    """Return an error as text that every database can store."""
    text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH].replace("\0", "\\0")
    return text.encode("utf-8", "backslashreplace").decode()


def _cause(error: StoreUnavailable) -> DriverError:
    cause = error.__cause__
    return cause if isinstance(cause, DriverError) else DriverUnavailable(str(error))
