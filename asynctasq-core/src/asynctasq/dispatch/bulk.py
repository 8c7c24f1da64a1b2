"""Sending chunks to one store: the next chunk is made while the store receives the one before."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from asynctasq.contracts.driver import Driver, Enqueued, EnqueuedPartly
from asynctasq.dispatch.connections import Connection
from asynctasq.dispatch.enqueue_batcher import CHUNK_BYTES, CHUNK_MESSAGES, message_bytes
from asynctasq.dispatch.messages import MessageFactory
from asynctasq.dispatch.stores import Store
from asynctasq.dispatch.wrapping import wrapped
from asynctasq.message import Message, ids_to_texts
from asynctasq.plugins.observers import Observers
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.unconfirmed import Batch

T = TypeVar("T")

_Sent: TypeAlias = tuple[Sequence[BaseTask[T]], Sequence[Message], list[Enqueued]]
"""A chunk that the store has accepted: its tasks, its messages, and the answers of the store."""


class Bulk(Generic[T]):
    """Sends the messages of one call to one store, in chunks of at most 1,000 messages or 1 MB.

    At most one chunk is being sent, so that memory is bounded and order kept. Of a task that the store
    has accepted only the handle is kept: keeping more until the end makes Python's garbage collector
    take longer than all the rest.
    """

    def __init__(
        self,
        store: Store,
        connection: Connection,
        *,
        batch: Batch,
        sent: Callable[[Sequence[Message]], object],
        observers: Observers,
        messages: MessageFactory,
    ) -> None:
        """Start with an empty chunk.

        Args:
            store: makes the handles.
            connection: sends the chunks.
            batch: the call that the tasks belong to.
            sent: called with each chunk that the store has accepted.
            observers: surround each chunk.
            messages: checks messages whose headers they have changed.
        """
        self.handles: list[Handle[T]] = []
        """The handles of the tasks that the store has accepted so far, in order."""
        self.driver: Driver = connection.driver
        self._batcher = connection.batcher
        self._handle_of = store.handle_with_id
        self._batch = batch
        self._sent = sent
        self._observers = observers
        self._check = partial(messages.check, self.driver)
        self._tasks: list[BaseTask[T]] = []
        self._chunk: list[Message] = []
        self._bytes = 0
        self._sending: (
            tuple[Sequence[BaseTask[T]], Sequence[Message], asyncio.Task[list[Enqueued]]] | None
        ) = None

    def add(self, task: BaseTask[T], message: Message) -> bool:
        """Add a task and its message; returns False if the chunk is full and `ship` must come first."""
        chunk = self._chunk
        size = message_bytes(message) if message.headers else len(message.body)
        size += self._bytes
        if chunk and (len(chunk) >= CHUNK_MESSAGES or size > CHUNK_BYTES):
            return False
        self._tasks.append(task)
        chunk.append(message)
        self._bytes = size
        return True

    async def ship(self) -> None:
        """Send the chunk and start another one, after the chunk before has arrived.

        Raises:
            DriverError: the store refused an earlier chunk, or could not be reached.
        """
        before = await self._arrival()
        send = self._send_wrapped if self._observers.wrap_dispatch else self._batcher.send_chunk
        # The task has a copy of the caller's context, which the hooks may change.
        task = asyncio.get_running_loop().create_task(send(self._chunk))
        self._sending = self._tasks, self._chunk, task
        self._tasks, self._chunk, self._bytes = [], [], 0
        try:
            await asyncio.sleep(0)  # start the task: the store works while handles are made
        finally:
            self._note(before)

    async def _send_wrapped(self, chunk: list[Message]) -> list[Enqueued]:
        with wrapped(self._observers, chunk, self._check) as messages:
            chunk[:] = messages
            return await self._batcher.send_chunk(chunk)

    async def finish(self) -> None:
        """Send the rest; returns when the store has accepted everything. Raises as `ship` does."""
        if self._chunk:
            await self.ship()
        await self.settle()

    async def settle(self) -> None:
        """Wait for the chunk that is being sent. Raises as `ship` does."""
        self._note(await self._arrival())

    async def _arrival(self) -> _Sent[T] | None:
        """Wait for the chunk that is being sent, if there is one."""
        if self._sending is None:
            return None
        tasks, chunk, sending = self._sending
        try:
            answers = await sending
        except EnqueuedPartly as partly:
            self._note_accepted(partly)
            raise
        self._sending = None
        return tasks, chunk, answers

    def _note_accepted(self, partly: EnqueuedPartly) -> None:
        """Note the messages of the chunk that the store accepted; the others stay unconfirmed."""
        assert self._sending is not None
        tasks, chunk, sending = self._sending
        items = list(zip(tasks, chunk, partly.answers, strict=True))
        accepted = [
            (task, message, answer)
            for task, message, answer in items
            if isinstance(answer, Enqueued)
        ]
        refused = [item for item in items if not isinstance(item[2], Enqueued)]
        self._sending = [item[0] for item in refused], [item[1] for item in refused], sending
        self._note(
            (
                [task for task, _, _ in accepted],
                [message for _, message, _ in accepted],
                [answer for _, _, answer in accepted],
            )
        )

    def _note(self, sent: _Sent[T] | None) -> None:
        if sent is not None:
            tasks, chunk, answers = sent
            batch, handle_of, keep = self._batch, self._handle_of, self.handles.append
            texts = ids_to_texts([answer.id for answer in answers])
            for task, message, answer, text in zip(tasks, chunk, answers, texts, strict=True):
                if task._unconfirmed is batch:
                    batch.repeat(task)
                task._note_dispatch(text, batch)
                keep(handle_of(text, task, message, answer))
            self._sent(chunk)

    def unconfirmed(self) -> Iterator[tuple[BaseTask[T], Message]]:
        """Yield the tasks whose messages the store has not confirmed."""
        if self._sending is not None:
            yield from zip(self._sending[0], self._sending[1], strict=True)
        yield from zip(self._tasks, self._chunk, strict=True)
