"""Dispatching many: a chunk is under way while the next one is made."""

import asyncio
from collections.abc import Callable, Sequence

from asynctasq.contracts.driver import Enqueued
from asynctasq.dispatcher.outbox import CHUNK_BYTES, CHUNK_MESSAGES, Outbox
from asynctasq.message import Message


class Bulk:
    """Messages for one driver, sent in chunks of at most 1,000, or 1 MB of bodies where more than one.

    At most one chunk is under way, so that memory is bounded and order kept.
    """

    def __init__(self, outbox: Outbox, sent: Callable[[Sequence[Message]], object]) -> None:
        """Make a bulk.

        Args:
            outbox: sends the chunks.
            sent: told of each chunk that the store has taken.
        """
        self.answers: list[Enqueued] = []
        """What the store has said so far, in the order of the messages."""
        self._outbox = outbox
        self._sent = sent
        self._chunk: list[Message] = []
        self._bytes = 0
        self._under_way: asyncio.Task[None] | None = None

    async def add(self, message: Message) -> None:
        """One more message; waits while two chunks are unsent.

        Raises:
            DriverError: the store refused an earlier chunk, or could not be reached.
        """
        size = len(message.body)
        if self._chunk and (len(self._chunk) >= CHUNK_MESSAGES or self._bytes + size > CHUNK_BYTES):
            await self._ship()
        self._chunk.append(message)
        self._bytes += size

    async def finish(self) -> None:
        """Send what is left; returns when the store has taken everything. Raises as `add` does."""
        if self._chunk:
            await self._ship()
        await self.settle()

    async def settle(self) -> None:
        """Wait for the chunk that is under way. Raises as `add` does."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            await under_way

    async def _ship(self) -> None:
        await self.settle()
        chunk, self._chunk, self._bytes = self._chunk, [], 0
        self._under_way = asyncio.get_running_loop().create_task(self._deliver(chunk))
        await asyncio.sleep(0)  # let it begin

    async def _deliver(self, chunk: Sequence[Message]) -> None:
        self.answers.extend(await self._outbox.send_chunk(chunk))
        self._sent(chunk)
