"""Batching of enqueues: dispatches of one turn of the event loop share round trips."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence

from asynctasq.contracts.driver import Driver, Enqueued, EnqueuedPartly
from asynctasq.dispatch.event_publisher import EventPublisher
from asynctasq.dispatch.partly import finish_chunk, pauses_for
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, headers_bytes

logger = logging.getLogger("asynctasq")

CHUNK_MESSAGES = 1000
CHUNK_BYTES = 1_000_000


def message_bytes(message: Message) -> int:
    """Return roughly how many bytes a message takes in a store: its body and its headers."""
    size = len(message.body)
    if message.headers:
        size += headers_bytes(message.headers)
    return size


_Item = tuple[Message, "asyncio.Future[Enqueued]"]


class EnqueueBatcher:
    """Sends messages to one opened driver.

    Messages that are sent in the same turn of the event loop share a call of `Driver.enqueue`. Each still
    has its own outcome: if the store refuses a chunk, its messages are sent again one by one, which is
    safe because the enqueue of a known id changes nothing.
    """

    def __init__(self, driver: Driver) -> None:
        """Make a batcher for the running loop; `driver` is opened on it."""
        self._driver = driver
        self.events = EventPublisher(driver.capabilities)
        """Publishes that messages were accepted."""
        self.events.attach(driver)
        self._waiting: deque[_Item] = deque()
        self._next: asyncio.Task[None] | None = None
        """Sends the waiting messages in the next turn of the loop."""
        self._sending: set[asyncio.Task[None]] = set()
        self._pauses = pauses_for(driver)
        self._is_unavailable = False
        """True if the last call could not reach the store."""

    def send(self, message: Message) -> "asyncio.Future[Enqueued]":
        """Enqueue one message, together with all others that are sent in this turn of the loop.

        Returns:
            A future with the store's answer. It raises a `DriverError` if the store refused the message
            or could not be reached.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Enqueued] = loop.create_future()
        self._waiting.append((message, outcome))
        if self._next is None:
            self._next = loop.create_task(self._send_waiting())  # runs in the next turn
            self._sending.add(self._next)
            self._next.add_done_callback(self._ended)
        return outcome

    async def send_chunk(self, messages: Sequence[Message]) -> list[Enqueued]:
        """Enqueue a chunk, all or nothing where the driver is ATOMIC.

        Raises:
            EnqueuedPartly: the store accepted some messages and refused others.
            DriverError: the store refused, or could not be reached.
        """
        pauses = iter(self._pauses)
        while True:
            try:
                answers = await self._driver.enqueue(messages)
            except DriverUnavailable as error:
                pause = next(pauses, None)
                if pause is None:
                    raise
                self._log_outage(error)
                await asyncio.sleep(pause)
            except EnqueuedPartly as partly:
                self._log_outage(None)
                return await self._finish_chunk(messages, partly, pauses)
            else:
                if self._is_unavailable:
                    self._log_outage(None)
                if self.events.active:
                    self.events.enqueued(messages, answers)
                return answers

    async def _finish_chunk(
        self, messages: Sequence[Message], partly: EnqueuedPartly, pauses: Iterator[float]
    ) -> list[Enqueued]:
        answers: Sequence[Enqueued | DriverError] = ()
        try:
            answers = accepted = await finish_chunk(self._driver, messages, partly, pauses)
        except EnqueuedPartly as still:
            answers = still.answers
            raise
        finally:
            if self.events.active:
                self.events.enqueued(messages, answers)
        return accepted

    def _log_outage(self, error: DriverUnavailable | None) -> None:
        """Log the first call that did not reach the store, and the first one that reaches it again."""
        if error is not None and not self._is_unavailable:
            doubt = "" if len(self._pauses) > 1 else " once, which may add a task twice"
            logger.warning("Could not reach the store to dispatch; retrying%s: %s", doubt, error)
        elif error is None and self._is_unavailable:
            logger.info("Reached the store again to dispatch")
        self._is_unavailable = error is not None

    async def drain(self) -> None:
        """Wait until the store has accepted or refused every message that was sent."""
        while self._sending:
            await asyncio.wait(set(self._sending))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task is self._next:  # cancelled before it started
            self._next = None
            while self._waiting:
                _fail(self._next_chunk(), asyncio.CancelledError())

    async def _send_waiting(self) -> None:
        self._next = None
        if len(self._waiting) == 1:
            await self._send([self._waiting.popleft()])
            return
        chunk = self._next_chunk()
        if not self._waiting:
            await self._send(chunk)
            return
        chunks = [chunk]
        while self._waiting:
            chunks.append(self._next_chunk())
        await asyncio.gather(*map(self._send, chunks))

    def _next_chunk(self) -> list[_Item]:
        chunk: list[_Item] = []
        size = 0
        while self._waiting and len(chunk) < CHUNK_MESSAGES and size < CHUNK_BYTES:
            item = self._waiting.popleft()
            size += message_bytes(item[0])
            chunk.append(item)
        return chunk

    async def _send(self, chunk: list[_Item]) -> None:
        try:
            answers = await self.send_chunk([message for message, _ in chunk])
        except EnqueuedPartly as partly:
            _answer(chunk, partly.answers)
        except DriverUnavailable as error:
            _fail(chunk, error)
        except Exception as error:  # noqa: BLE001  each caller gets the error of its message
            if len(chunk) == 1:
                _fail(chunk, error)
            else:
                await asyncio.gather(*(self._send([item]) for item in chunk))
        except BaseException as error:
            _fail(chunk, error)
            raise
        else:
            _answer(chunk, answers)


def _answer(chunk: list[_Item], answers: "Sequence[Enqueued | DriverError]") -> None:
    for (_, outcome), answer in zip(chunk, answers, strict=True):
        if outcome.done():
            continue
        if isinstance(answer, Exception):
            outcome.set_exception(answer)
        else:
            outcome.set_result(answer)


def _fail(chunk: list[_Item], error: BaseException) -> None:
    for _, outcome in chunk:
        if not outcome.done():
            outcome.set_exception(error)
