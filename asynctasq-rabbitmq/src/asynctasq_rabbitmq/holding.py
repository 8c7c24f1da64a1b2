"""The held queue: tasks that run for longer than the broker waits for an acknowledgement.

The broker closes a channel whose oldest message is not acknowledged within `consumer_timeout`. Before that, the
hub publishes a copy of the message to a queue that only it consumes, and acknowledges the original when the copy
has arrived. If the process dies, the copy has outlived its time to live, and goes to its work queue at once.
"""

import logging

from asynctasq.errors import DriverError
from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.leases import Held, Leases
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.publishing import Letter, Publisher
from asynctasq_rabbitmq.records import LEASE, message_id, pack_record, properties_of
from asynctasq_rabbitmq.settings import RabbitMQSettings
from asynctasq_rabbitmq.topology import Topology, consumer_arguments
from asynctasq_rabbitmq.wire.channel import Channel, Subscription
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost
from asynctasq_rabbitmq.wire.frames import Incoming, Outgoing

logger = logging.getLogger("asynctasq_rabbitmq")

SHARE = 0.75
"""Share of `consumer_timeout` after which a message is moved."""
LONGEST_PAUSE = 10.0
_LOOKS = 40
"""Looks at the leases within a `consumer_timeout`, at least."""


class Holder:
    """Moves the messages of long tasks to the held queue of this process."""

    def __init__(
        self,
        line: Line,
        topology: Topology,
        publisher: Publisher,
        leases: Leases,
        settings: RabbitMQSettings,
        hub: str,
    ) -> None:
        self._line = line
        self._topology = topology
        self._publisher = publisher
        self._leases = leases
        self._settings = settings
        self._name = names.held_queue(settings.namespace, hub)
        self._channel: Channel | None = None
        self._next_look = 0.0
        self._moving: dict[int, Held] = {}

    async def tend(self, at: float) -> None:
        """Move messages that were delivered long ago.

        Args:
            at: the time of the monotonic clock.
        """
        timeout = self._settings.consumer_timeout
        if at < self._next_look or not len(self._leases):
            return
        self._next_look = at + min(timeout / _LOOKS, LONGEST_PAUSE)
        old = [
            held
            for held in self._leases
            if at - held.since > SHARE * timeout and held.token not in self._moving
        ]
        if old:
            await self._move(old)

    async def _move(self, old: list[Held]) -> None:
        try:
            await self._ready()
        except (ChannelClosed, ConnectionLost, DriverError) as error:
            _warn(error, len(old))
            return
        self._moving.update({held.token: held for held in old})
        answers = await self._publisher.send([self._letter(held) for held in old])
        for held, answer in zip(old, answers, strict=True):
            if answer is not None:
                self._moving.pop(held.token, None)
                self._channel = None  # declared again at the next attempt
                _warn(answer, 1)

    async def _ready(self) -> None:
        """Create the queue, and consume it."""
        if self._channel is not None and self._channel.is_open:
            return
        await self._topology.declare_held(self._name)
        connection = await self._line.connection()
        channel = await connection.channel()
        channel.on_closed.append(lambda: self._closed(channel))
        subscription = Subscription(
            self._received, lambda: channel.drop("the broker ended the consumer")
        )
        answers = channel.subscribe(
            self._name, self._name, 0, subscription, consumer_arguments(self._topology.level_type)
        )
        for answer in answers:
            await connection.answer(answer)
        self._channel = channel

    def _letter(self, held: Held) -> Letter:
        # The copy is read only if this process loses it, which ends the lease.
        lost = held.lost + (not held.has_expired)
        known = held.known.changed(started=held.started, lost=lost)
        text = message_id(known.message)
        properties = properties_of(known.message, text, {LEASE: held.token})
        work = names.work_queue(self._settings.namespace, known.message.queue)
        outgoing = Outgoing(self._name, work, properties, pack_record(known), text)
        return Letter(known.message.queue, outgoing)

    def _received(self, incoming: Incoming) -> None:
        """Let the copy take the place of the original. The copy of a lease that has ended is of no use."""
        token = incoming.headers().get(LEASE)
        held = self._moving.pop(token, None) if isinstance(token, int) else None
        if held is None or not self._leases.holds(held):
            incoming.channel.ack([incoming.tag])
            return
        original = held.incoming
        held.move(incoming)
        original.channel.ack([original.tag])

    def _closed(self, channel: Channel) -> None:
        self._moving.clear()
        self._leases.drop(lambda held: held.incoming.channel is channel)


def _warn(error: Exception, messages: int) -> None:
    logger.warning(
        "Could not hold %d long tasks; the broker may deliver them again: %s",
        messages,
        error,
        extra={"messages": messages},
    )
