"""The way of one event loop into one opened driver."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from asynctasq.contracts.driver import Driver, Enqueued, EnqueuedPartly
from asynctasq.dispatch.partly import finish_chunk, pauses_for
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, headers_bytes

logger = logging.getLogger("asynctasq")

CHUNK_MESSAGES = 1000
CHUNK_BYTES = 1_000_000


def message_bytes(message: Message) -> int:
    """Return about how much a message takes in a store."""
    size = len(message.body)
    if message.headers:
        size += headers_bytes(message.headers)
    return size


_Item = tuple[Message, "asyncio.Future[Enqueued]"]


class EnqueueBatcher:
    """Sends messages.

    Dispatches that happen together share round trips. Each has its own outcome: where the store
    refuses a whole chunk, its messages are sent again one by one, which is safe because nothing of it was
    stored.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._waiting: deque[_Item] = deque()
        self._next: asyncio.Task[None] | None = None
        """Will send what waits, in the next turn of the loop."""
        self._sending: set[asyncio.Task[None]] = set()
        self._pauses = pauses_for(driver)
        self._away = False
        """True if the store was unavailable at the last try."""

    def send(self, message: Message) -> "asyncio.Future[Enqueued]":
        """Enqueue one message, in company of those that are dispatched in the same turn of the loop.

        The answer is to be awaited; it may raise a `DriverError`, if the store refused or could not be
        reached.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Enqueued] = loop.create_future()
        self._waiting.append((message, outcome))
        if self._next is None:
            self._next = loop.create_task(self._send_waiting())  # in the next turn: all of this one
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
                return await finish_chunk(self._driver, messages, partly)
            else:
                self._log_outage(None)
                return answers

    def _log_outage(self, error: DriverUnavailable | None) -> None:
        """Log the first call that did not reach the store, and the first that does again."""
        if error is not None and not self._away:
            doubt = "" if len(self._pauses) > 1 else " once, which may add a task twice"
            logger.warning(
                "The store cannot be reached to dispatch; trying again%s: %s", doubt, error
            )
        elif error is None and self._away:
            logger.info("The store can be reached again to dispatch.")
        self._away = error is not None

    async def drain(self) -> None:
        """Return when all that was given to `send` is enqueued or refused."""
        while self._sending:
            await asyncio.wait(set(self._sending))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task is self._next:  # cancelled before it began
            self._next = None
            while self._waiting:
                _fail(self._next_chunk(), asyncio.CancelledError())

    async def _send_waiting(self) -> None:
        self._next = None
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
        except Exception as error:  # noqa: BLE001  whatever a driver raises, the callers are told
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
