"""The consumer of one queue: how many messages it may hold, and those that no worker has taken yet."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import TypeVar

from pamqp import commands

from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.leases import Held
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.settings import QueueType
from asynctasq_rabbitmq.topology import CANCEL_ON_FAILURE, Topology, consumer_arguments
from asynctasq_rabbitmq.wire.channel import Channel, Subscription
from asynctasq_rabbitmq.wire.errors import NOT_FOUND, ChannelClosed
from asynctasq_rabbitmq.wire.frames import Incoming, priority_of

T = TypeVar("T", int, float)
DOUBT = 0.25
"""Seconds after a change in which messages may be on their way to the consumer."""
PATIENCE = 1.0
"""Seconds for which a reserve waits for the next of them, at most."""
LONGEST_PATIENCE = 3.0
LOOK = 0.01
MOST = 65_535


class Consumer:
    """Receives the messages of a queue on a channel of its own.

    The broker may deliver as many as there are free slots. What no worker takes within a moment is given back.
    """

    def __init__(
        self,
        queue: str,
        line: Line,
        topology: Topology,
        *,
        namespace: str,
        priorities: bool,
        queue_type: QueueType,
        wake: Callable[[], None],
        lost: Callable[[Channel], None],
    ) -> None:
        self.queue = queue
        self.work = names.work_queue(namespace, queue)
        self.early: list[tuple[float, int, Held]] = []
        """Messages that arrived slightly before their time, by due time."""
        self.asked_at = 0.0
        """When a worker last asked for messages, by the monotonic clock."""
        self.listeners = 0
        """Number of workers that wait for messages now."""
        self._line = line
        self._topology = topology
        self._priorities = priorities
        self._answers_last = queue_type == "classic"
        """True if the broker answers the question for a count after it has delivered what it counted."""
        self._arguments = consumer_arguments(queue_type)
        self._wake = wake
        self._lost = lost
        self._channel: Channel | None = None
        self._tag = ""
        self._prefetch = 0
        self._unacked = 0
        self._epochs = itertools.count(1)
        self._epoch = 0
        self._order = itertools.count()
        self._buffer: list[tuple[int, int, Held]] = []
        """A heap: by priority, then in the order of arrival."""
        self._places = itertools.count(-1, -1)
        self._arrived = asyncio.Event()
        self._changing = asyncio.Lock()
        self._doubtful_until = 0.0
        self._expected = 0
        """Messages that this process has published and not received, while it is in doubt."""

    @property
    def is_running(self) -> bool:
        """True while the broker delivers messages."""
        return bool(self._tag) and self._channel is not None and self._channel.is_open

    @property
    def waiting(self) -> int:
        """Number of messages that no worker has taken."""
        return len(self._buffer)

    def take(self) -> Held | None:
        """Return the next message that no worker has taken; None if there is none."""
        return heapq.heappop(self._buffer)[2] if self._buffer else None

    def note_request(self) -> None:
        """Note that a worker asks for messages."""
        self.asked_at = time.monotonic()

    def put_back(self, held: Held) -> None:
        """Put a message back to the front."""
        heapq.heappush(self._buffer, (self._rank(held), next(self._places), held))

    def _put(self, held: Held) -> None:
        heapq.heappush(self._buffer, (self._rank(held), next(self._order), held))

    def _rank(self, held: Held) -> int:
        return -priority_of(held.incoming.properties) if self._priorities else 0

    def keep_early(self, held: Held) -> None:
        """Keep a message until it is due."""
        heapq.heappush(self.early, (held.known.due_at, next(self._order), held))

    def take_due(self, now: float) -> None:
        """Make messages ready whose time has come."""
        while self.early and self.early[0][0] <= now:
            self._put(heapq.heappop(self.early)[2])

    def note_end(self, held: Held) -> None:
        """Note that a message was acknowledged."""
        if held.epoch == self._epoch:
            self._unacked -= 1

    def note_published(self) -> None:
        """Note that this process has published a message to the queue."""
        if not self.is_doubtful:
            self._expected = 0
        self._expected += 1
        self.note_change()

    def note_change(self) -> None:
        """Note that messages may be on their way."""
        self._doubtful_until = time.monotonic() + DOUBT

    @property
    def is_doubtful(self) -> bool:
        """True if messages may be on their way to the consumer."""
        return self._expected != 0 and time.monotonic() < self._doubtful_until

    async def make_room(self, free: int) -> None:
        """Let the broker deliver so many more messages than are waiting.

        Raises:
            DriverError, ChannelClosed, ConnectionLost: the queue cannot be consumed.
        """
        if self._has_room(free):
            return
        async with self._changing:
            if not self._has_room(free):
                await self._start(free)

    def _has_room(self, free: int) -> bool:
        return self.is_running and self._prefetch >= min(self._unacked + free, MOST)

    async def _start(self, free: int) -> None:
        """Start to consume. The limit counts only the messages of this consumer, not those of earlier ones."""
        await self._topology.ensure(self.queue)
        channel = await self._open()
        if self._tag:
            await self._stop(channel)
        self._epoch = next(self._epochs)
        self._unacked = 0
        self._prefetch = min(free, MOST)
        tag = f"{self.queue}-{self._epoch}"
        answers = channel.subscribe(
            self.work,
            tag,
            self._prefetch,
            Subscription(self._receiver(self._epoch), lambda: self._ended(channel)),
            self._arguments,
        )
        self._tag = tag
        try:
            for answer in answers:
                await channel.connection.answer(answer)
        except ChannelClosed as error:
            if error.code == NOT_FOUND:
                self._topology.forget(self.queue)
            if not (self._arguments and CANCEL_ON_FAILURE in error.text):
                raise
            self._arguments = {}  # an existing queue of another type
            await self._start(free)
            return
        self._expected = MOST
        self.note_change()

    async def _open(self) -> Channel:
        if self._channel is not None and self._channel.is_open:
            return self._channel
        connection = await self._line.connection()
        channel = await connection.channel()
        channel.on_closed.append(lambda: self._closed(channel))
        self._channel, self._tag = channel, ""
        return channel

    def _receiver(self, epoch: int) -> Callable[[Incoming], None]:
        def receive(incoming: Incoming) -> None:
            if epoch == self._epoch:
                self._unacked += 1
            self._expected -= 1
            self._put(Held(self, epoch, incoming, time.monotonic()))
            self._arrived.set()
            self._wake()

        return receive

    def _ended(self, channel: Channel) -> None:
        """Drop the channel, for the broker has ended the consumer: the queue has failed or was deleted.

        Messages that were not acknowledged are ready again, or deleted.
        """
        self._topology.forget(self.queue)
        channel.drop("the broker ended the consumer")

    def _closed(self, channel: Channel) -> None:
        """Drop what came over a channel that is closed: the broker delivers it again."""
        self._tag = ""
        self._buffer = _not_of(channel, self._buffer)
        self.early = _not_of(channel, self.early)
        self._lost(channel)
        self._arrived.set()
        self._wake()

    async def _stop(self, channel: Channel) -> None:
        tag, self._tag = self._tag, ""
        await channel.connection.answer(channel.unsubscribe(tag))
        channel.forget(tag)

    async def pause(self) -> list[Held]:
        """Stop to receive; return the messages that no worker has taken."""
        async with self._changing:
            if self._tag and self._channel is not None and self._channel.is_open:
                await self._stop(self._channel)
        left = [held for _, _, held in sorted(self._buffer)]
        self._buffer.clear()
        return left

    async def catch_up(self, wanted: int) -> None:
        """Wait until the broker has delivered what is ready, or enough of it, or a moment has passed."""
        began = seen_at = time.monotonic()
        while self.is_running and len(self._buffer) < wanted and self._has_room(1):
            channel = self._channel
            assert channel is not None
            self._arrived.clear()
            answer = await channel.call(
                commands.Queue.Declare(0, self.work, passive=True), commands.Queue.DeclareOk
            )
            if not answer.message_count and (self._answers_last or not await self._more_arrive()):
                self._doubtful_until = 0.0
                return
            if answer.message_count and await self._more_arrive():
                seen_at = time.monotonic()
            now = time.monotonic()
            if now - seen_at > PATIENCE or now - began > LONGEST_PATIENCE:
                return

    async def _more_arrive(self) -> bool:
        """Return whether a message arrives within a moment."""
        try:
            async with asyncio.timeout(LOOK):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True


def _not_of(channel: Channel, heap: list[tuple[T, int, Held]]) -> list[tuple[T, int, Held]]:
    """Return a heap without the messages of a channel."""
    left = [item for item in heap if item[2].incoming.channel is not channel]
    heapq.heapify(left)
    return left
