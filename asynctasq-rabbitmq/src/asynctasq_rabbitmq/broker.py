"""The parts that the drivers of a process share for one broker and namespace. They live on the loop of a hub."""

import asyncio
import time
from collections.abc import Collection, Sequence
from uuid import uuid4

from asynctasq.contracts.capabilities.news import News
from asynctasq.driverkit.outages import Outages
from asynctasq.errors import DriverError
from asynctasq.message import Lease, State
from asynctasq.settlement import Reason, Settled
from asynctasq_rabbitmq.consuming import Consumer
from asynctasq_rabbitmq.holding import Holder
from asynctasq_rabbitmq.leases import Held, Leases
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.publishing import Publisher
from asynctasq_rabbitmq.refusals import AGAIN_SECONDS, Refusals
from asynctasq_rabbitmq.returning import Returns
from asynctasq_rabbitmq.settings import RabbitMQSettings
from asynctasq_rabbitmq.topology import Topology
from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.connection import Endpoint
from asynctasq_rabbitmq.wire.errors import ChannelClosed

UNCLAIMED = 0.3
"""Seconds after which messages that no worker takes are given back."""
GRACE = 0.5
"""Seconds beyond the end of a lease after which it is reclaimed although no worker calls."""
_NEWS_KEPT = 1000


class Broker:
    """Connections, consumers and leases. Two connections: one publishes, and one consumes."""

    def __init__(self, settings: RabbitMQSettings, place: str, name: str) -> None:
        self.settings = settings
        self.place = place
        self.name = name
        self.offset = 0.0
        """Seconds by which tests have moved the clock."""
        self.publishing = Line(endpoint(settings, f"{name} (publishing)"))
        self.receiving = Line(endpoint(settings, f"{name} (receiving)"))
        self.topology = Topology(self.publishing, settings, place)
        self.publisher = Publisher(self.publishing, self.topology, settings, place)
        self.publisher.on_published = self._published
        self.returns = Returns(self.publisher, settings.namespace)
        self.leases = Leases()
        self.outages = Outages()
        self.holder = Holder(
            self.receiving, self.topology, self.publisher, self.leases, settings, uuid4().hex
        )
        self.consumers: dict[str, Consumer] = {}
        self.refusals = Refusals(place)
        self.news: list[News] = []
        """News that no reserve has reported yet."""
        self.answered: dict[Lease, Settled] = {}
        """Answers to items of a settle that failed, for its repetition."""
        self.unsure: dict[Lease, Channel] = {}
        """Leases that such a settle has ended on a channel that is open, but whose broker did not answer."""
        self._waiters: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        """Return the time of the store: seconds since the Unix epoch."""
        return time.time() + self.offset

    def move_clock(self, seconds: float) -> None:
        """Set the seconds by which the clock is ahead."""
        self.offset = seconds
        self.wake()

    async def open(self) -> None:
        """Connect, and create what delays need."""
        await self.topology.check()

    def consumer(self, queue: str) -> Consumer:
        """Return the consumer of a queue."""
        found = self.consumers.get(queue)
        if found is None:
            found = self.consumers[queue] = Consumer(
                queue,
                self.receiving,
                self.topology,
                namespace=self.settings.namespace,
                priorities=self.settings.priorities,
                queue_type=self.settings.queue_type,
                wake=self.wake,
                lost=self._lost,
            )
        return found

    async def make_room(self, consumer: Consumer, free: int) -> bool:
        """Let the broker deliver more messages of a queue; return False if the queue cannot be consumed.

        Such a queue is logged, and tried again after some seconds.

        Raises:
            DriverUnavailable, ChannelClosed, ConnectionLost: the broker gave no answer.
        """
        if self.refusals.is_refused(consumer.queue):
            return False
        try:
            await consumer.make_room(free)
        except (ChannelClosed, DriverError) as error:
            if not self.refusals.note(consumer.queue, error):
                raise
            return False
        self.refusals.clear(consumer.queue)
        return True

    def _published(self, queue: str) -> None:
        consumer = self.consumers.get(queue)
        if consumer is not None:
            consumer.note_published()

    def _lost(self, channel: Channel) -> None:
        self.leases.drop(lambda held: held.incoming.channel is channel)
        self.returns.drop(channel)
        self.unsure = {lease: each for lease, each in self.unsure.items() if each is not channel}

    # Waiting.

    def wake(self) -> None:
        """Let every worker look for messages."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Return when there may be something to reserve, or after some seconds."""
        consumers = [self.consumer(queue) for queue in queues]
        for consumer in consumers:
            consumer.listeners += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            for consumer in consumers:
                if not await self.make_room(consumer, 1):
                    timeout = min(timeout, AGAIN_SECONDS)
            if any(consumer.waiting for consumer in consumers):
                return
            await asyncio.wait([waiter], timeout=self._until_next(consumers, timeout))
        finally:
            self._waiters.discard(waiter)
            for consumer in consumers:
                consumer.listeners -= 1

    def _until_next(self, consumers: Collection[Consumer], timeout: float) -> float:
        """Return the seconds until a message is due, or a lease ends."""
        now = self.now()
        times = [consumer.early[0][0] for consumer in consumers if consumer.early]
        end = self.leases.next_end()
        if end is not None:
            times.append(max(end, now + UNCLAIMED))
        return min(timeout, max(min(times, default=now + timeout) - now, 0.0))

    # Leases.

    def reclaim(self, ended: Collection[Held], now: float) -> None:
        """End leases that were not renewed: their messages are ready again, or die when they are received next.

        Then the driver of a state store can record their deaths there.
        """
        for held in ended:
            self.leases.end(held)
            known = held.known.changed(
                started=held.started, lost=held.lost + (not held.has_expired)
            )
            self.returns.add_copy(held, known, now)
            if known.lost <= known.message.max_lost:
                self.report(held, known.lost, None)

    def report(self, held: Held, lost: int, reason: Reason | None) -> None:
        """Note that upkeep has moved a message."""
        known = held.known
        state = State.READY if reason is None else State.DEAD
        message = known.message
        self.news.append(
            News(
                message.id, message.queue, message.task, state, reason, known.attempt, lost,
                held.owner or None,
            )
        )  # fmt: skip
        del self.news[:-_NEWS_KEPT]

    def release(self, held: Held, now: float) -> None:
        """Make a leased message ready again, uncounted."""
        self.leases.end(held)
        self.returns.add_copy(held, held.known.changed(started=held.started, lost=held.lost), now)

    async def give_back_unclaimed(self, at: float, *, everything: bool = False) -> None:
        """Give back what no worker has taken for a while."""
        now = self.now()
        for consumer in self.consumers.values():
            consumer.take_due(now)
            is_idle = at - consumer.asked_at > UNCLAIMED and not consumer.listeners
            if everything or (consumer.waiting and is_idle):
                for held in await consumer.pause():
                    self.returns.add_unclaimed(held)
        await self.returns.flush()

    async def tend(self, at: float) -> None:
        """Do the upkeep that needs no call of a worker.

        Args:
            at: the time of the monotonic clock.
        """
        await self.give_back_unclaimed(at)
        await self.holder.tend(at)
        overdue = self.leases.overdue(at - GRACE)
        if overdue:
            self.reclaim(overdue, self.now())
            await self.returns.flush()

    async def close(self) -> None:
        """Give back what no worker has taken, and disconnect."""
        await self.give_back_unclaimed(time.monotonic(), everything=True)
        await self.receiving.close()
        await self.publishing.close()


def endpoint(settings: RabbitMQSettings, name: str) -> Endpoint:
    """Return the broker of settings."""
    address = settings.address()
    return Endpoint(
        address.host,
        address.port,
        address.username,
        address.password,
        address.virtual_host,
        settings.tls_context(),
        settings.heartbeat,
        name,
        settings.connect_timeout,
        settings.timeout,
    )
