"""Dispatching many: a chunk is under way while the next one is made."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.dispatch.connections import Connection
from asynctasq.dispatch.enqueue_batcher import CHUNK_BYTES, CHUNK_MESSAGES, message_bytes
from asynctasq.dispatch.source import DriverSource
from asynctasq.message import Message
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask, set_field
from asynctasq.tasks.unconfirmed import Batch

T = TypeVar("T")

_Taken: TypeAlias = tuple[Sequence[BaseTask[T]], Sequence[Message], list[Enqueued]]
"""A chunk that the store has taken: its tasks, its messages, and what the store answered."""


class Bulk(Generic[T]):
    """Messages for one driver, sent in chunks of at most 1,000, or 1 MB of bodies where more than one.

    At most one chunk is under way, so that memory is bounded and order kept. What the store has taken
    is let go of at once but for its handle: what would be kept of each task until the end makes
    Python's garbage collector take longer than all the rest.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        source: DriverSource,
        batch: Batch,
        sent: Callable[[Sequence[Message]], object],
    ) -> None:
        """Make a bulk.

        Args:
            connection: takes the chunks.
            source: answers the handles.
            batch: the call that the tasks belong to.
            sent: told of each chunk that the store has taken.
        """
        self.handles: list[Handle[T]] = []
        """Of what the store has taken so far, in order."""
        self.driver: Driver = connection.driver
        self._outbox = connection.outbox
        self._source = source
        self._batch = batch
        self._sent = sent
        self._tasks: list[BaseTask[T]] = []
        self._chunk: list[Message] = []
        self._bytes = 0
        self._under_way: (
            tuple[Sequence[BaseTask[T]], Sequence[Message], asyncio.Task[list[Enqueued]]] | None
        ) = None

    def takes(self, task: BaseTask[T], message: Message) -> bool:
        """Add a task and its message if the chunk has room for it; else `ship` comes first."""
        size = message_bytes(message) if message.headers else len(message.body)
        if self._chunk and (len(self._chunk) >= CHUNK_MESSAGES or self._bytes + size > CHUNK_BYTES):
            return False
        self._tasks.append(task)
        self._chunk.append(message)
        self._bytes += size
        return True

    async def ship(self) -> None:
        """Send the chunk and begin another; waits while the one before is under way.

        Raises:
            DriverError: the store refused an earlier chunk, or could not be reached.
        """
        before = await self._arrival()
        self._under_way = self._tasks, self._chunk, self._send(self._chunk)
        self._tasks, self._chunk, self._bytes = [], [], 0
        try:
            await asyncio.sleep(0)  # let it begin: the store works while handles are made
        finally:
            self._note(before)

    async def finish(self) -> None:
        """Send what is left; returns when the store has taken everything. Raises as `ship` does."""
        if self._chunk:
            await self.ship()
        await self.settle()

    async def settle(self) -> None:
        """Wait for the chunk that is under way. Raises as `ship` does."""
        self._note(await self._arrival())

    def _send(self, chunk: Sequence[Message]) -> "asyncio.Task[list[Enqueued]]":
        return asyncio.get_running_loop().create_task(self._outbox.send_chunk(chunk))

    async def _arrival(self) -> _Taken[T] | None:
        """Wait for the chunk that is under way, if there is one."""
        if self._under_way is None:
            return None
        tasks, chunk, sending = self._under_way
        answers = await sending
        self._under_way = None
        return tasks, chunk, answers

    def _note(self, taken: _Taken[T] | None) -> None:
        if taken is not None:
            tasks, chunk, answers = taken
            batch, handle = self._batch, self._source.handle
            for task, message, answer in zip(tasks, chunk, answers, strict=True):
                if task._unconfirmed is batch:
                    batch.repeat(task)
                else:
                    set_field(task, "_unconfirmed", batch)
                self.handles.append(handle(task, message, answer))
            self._sent(chunk)

    def unconfirmed(self) -> Iterator[tuple[BaseTask[T], Message]]:
        """Yield the tasks whose messages the store has not confirmed."""
        if self._under_way is not None:
            yield from zip(self._under_way[0], self._under_way[1], strict=True)
        yield from zip(self._tasks, self._chunk, strict=True)
