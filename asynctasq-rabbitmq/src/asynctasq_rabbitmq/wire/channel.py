"""A channel: calls and their answers, publishing with confirms, consumers, and acknowledgements."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from pamqp import base, commands
from pamqp.common import FieldValue

from asynctasq.driverkit.batching import batches
from asynctasq_rabbitmq.wire import frames
from asynctasq_rabbitmq.wire.confirms import Answer, Batch, Confirms
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost
from asynctasq_rabbitmq.wire.frames import Incoming, Outgoing

if TYPE_CHECKING:
    from asynctasq_rabbitmq.wire.connection import Connection

F = TypeVar("F", bound=base.Frame)
AT_ONCE = 512
"""Messages that are encoded and written in one step."""
BYTES_WRITTEN_AT_ONCE = 1 << 20


class Subscription:
    """A consumer of a channel: what receives its messages, and what learns that the broker ended it."""

    __slots__ = ("ended", "received")

    def __init__(self, received: Callable[[Incoming], None], ended: Callable[[], None]) -> None:
        self.received = received
        self.ended = ended


class Channel:
    """A channel of a connection. `Connection.channel` opens it."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self.connection = connection
        self.number = number
        self.error: ChannelClosed | ConnectionLost | None = None
        """The reason why the channel is closed; None while it is open."""
        self.prefetch = 0
        """The limit of the latest consumer."""
        self.on_closed: list[Callable[[], None]] = []
        self._calls: list[tuple[Sequence[str], asyncio.Future[base.Frame]]] = []
        self._subscriptions: dict[bytes, Subscription] = {}
        self._confirms = Confirms()
        self._publishing = asyncio.Lock()
        self._unacked: dict[int, None] = {}
        self._delivery: tuple[bytes, int, bool, str] | None = None
        self._is_return = False
        self._properties = b""
        self._missing = 0
        self._pieces: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """True until the channel or its connection is closed."""
        return self.error is None

    # Calls.

    async def call(self, method: base.Frame, kind: type[F], *, timeout: float | None = None) -> F:
        """Send a method, and return its answer of this kind.

        Raises:
            ChannelClosed: the broker closed the channel instead.
            ConnectionLost: the connection ended, or the broker gave no answer in time.
        """
        answer = await self.connection.answer(self.start(method), timeout)
        if not isinstance(answer, kind):
            raise ConnectionLost(f"got {answer.name} in answer to {method.name}")
        return answer

    def start(self, method: base.Frame) -> "asyncio.Future[base.Frame]":
        """Send a method that has an answer; return the answer to come.

        Answers of one kind come in order. Those of different kinds do not: the end of a consumer is answered by
        its queue, for example, and other calls by the channel.
        """
        if self.error is not None:
            raise self.error
        answer: asyncio.Future[base.Frame] = self.connection.loop.create_future()
        self._calls.append((method.valid_responses, answer))
        self.connection.send(self.number, method)
        return answer

    async def close(self) -> None:
        """Close the channel. The broker delivers its unacknowledged messages again."""
        if self.is_open:
            await self.call(commands.Channel.Close(200, "", 0, 0), commands.Channel.CloseOk)
            self.end(ChannelClosed(0, "the channel was closed"))

    def drop(self, reason: str) -> None:
        """Close the channel without waiting for the broker."""
        if self.is_open:
            self.connection.send(self.number, commands.Channel.Close(200, reason, 0, 0))
            self.end(ChannelClosed(0, reason))

    # Publishing.

    async def confirm(self) -> None:
        """Make the broker confirm every message that is published from now on."""
        await self.call(commands.Confirm.Select(), commands.Confirm.SelectOk)

    async def publish(self, messages: Sequence[Outgoing], *, timeout: float) -> list[Answer]:
        """Publish messages, and return the answer to each. Those without one in time are UNKNOWN.

        Raises:
            ChannelClosed, ConnectionLost: the channel was closed before.
        """
        if self.error is not None:
            raise self.error
        done: asyncio.Future[None] = self.connection.loop.create_future()
        batch = Batch(len(messages), done)
        async with self._publishing:
            place = 0
            for piece in batches(
                messages, AT_ONCE, size=_size_of, most_bytes=BYTES_WRITTEN_AT_ONCE
            ):
                if not self.is_open:
                    return batch.answers
                self._confirms.expect(batch, place, piece)
                place += len(piece)
                self.connection.write(self._encoded(piece))
                if not await self.connection.drain(timeout):
                    return batch.answers
        await asyncio.wait([done], timeout=timeout)
        return batch.answers

    def _encoded(self, messages: Sequence[Outgoing]) -> bytes:
        most = self.connection.frame_max
        return b"".join(
            piece
            for message in messages
            for piece in frames.publish_frames(self.number, message, most)
        )

    # Consuming.

    def subscribe(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        subscription: Subscription,
        arguments: Mapping[str, FieldValue],
    ) -> "Sequence[asyncio.Future[base.Frame]]":
        """Begin to consume a queue; return the answers to come. No more than `prefetch` messages are unacknowledged."""
        self._subscriptions[tag.encode()] = subscription
        self.prefetch = prefetch
        return (
            self.start(commands.Basic.Qos(0, prefetch, False)),
            self.start(commands.Basic.Consume(0, queue, tag, arguments=dict(arguments))),
        )

    def unsubscribe(self, tag: str) -> "asyncio.Future[base.Frame]":
        """End a consumer. Messages that are on their way still arrive."""
        return self.start(commands.Basic.Cancel(tag))

    def forget(self, tag: str) -> None:
        """Forget a consumer whose end was confirmed."""
        self._subscriptions.pop(tag.encode(), None)

    def ack(self, tags: Collection[int]) -> None:
        """Acknowledge messages in one write, with one frame for all that nothing older stands before."""
        wanted = set(tags)
        unacked = self._unacked
        prefix = 0
        for tag in unacked:
            if tag not in wanted:
                break
            prefix = tag
        out = []
        if prefix:
            out.append(frames.ack_frame(self.number, prefix, multiple=True))
        out.extend(
            frames.ack_frame(self.number, tag, multiple=False)
            for tag in wanted
            if tag > prefix and tag in unacked
        )
        for tag in wanted:
            unacked.pop(tag, None)
        if out:
            self.connection.write(b"".join(out))

    async def synchronize(self) -> None:
        """Return when the broker has read all that was written on the channel before."""
        await self.call(commands.Basic.Qos(0, self.prefetch, False), commands.Basic.QosOk)

    # Frames from the broker.

    def received_method(self, payload: bytes) -> None:
        """Take the payload of a method frame."""
        (kind,) = frames.NUMBER.unpack_from(payload)
        if kind == frames.DELIVER:
            self._delivery, self._is_return = frames.read_delivery(payload), False
        elif kind in {frames.ACK, frames.NACK}:
            tag, bits = frames.SETTLED.unpack_from(payload, 4)
            self._confirms.note(tag, multiple=bool(bits & 1), accepted=kind == frames.ACK)
        elif kind == frames.RETURN:
            self._delivery, self._is_return = None, True
        else:
            self._received_other(self.connection.decode(payload))

    def received_header(self, payload: bytes) -> None:
        """Take the payload of a content header."""
        self._missing = frames.CONTENT.unpack_from(payload)[2]
        self._properties = payload[frames.CONTENT.size :]
        self._pieces = []
        if not self._missing:
            self._received_message(b"")

    def received_body(self, payload: bytes) -> None:
        """Take a piece of a body."""
        self._missing -= len(payload)
        if self._missing > 0:
            self._pieces.append(payload)
        elif self._pieces:
            self._received_message(b"".join([*self._pieces, payload]))
        else:
            self._received_message(payload)

    def _received_message(self, body: bytes) -> None:
        properties, self._properties, self._pieces = self._properties, b"", []
        if self._is_return:
            self._confirms.note_return(frames.message_id_of(properties))
            return
        assert self._delivery is not None
        consumer, tag, redelivered, key = self._delivery
        self._unacked[tag] = None
        found = self._subscriptions.get(consumer)
        if found is not None:
            found.received(Incoming(self, tag, redelivered, key, properties, body))

    def _received_other(self, method: base.Frame) -> None:
        if isinstance(method, commands.Channel.Close):
            self.connection.send(self.number, commands.Channel.CloseOk())
            self.end(ChannelClosed(method.reply_code or 0, method.reply_text))
        elif isinstance(method, commands.Basic.Cancel):
            found = self._subscriptions.pop((method.consumer_tag or "").encode(), None)
            if found is not None:
                found.ended()
        elif isinstance(method, commands.Channel.Flow):
            self.connection.send(self.number, commands.Channel.FlowOk(method.active))
        else:
            self._received_answer(method)

    def _received_answer(self, method: base.Frame) -> None:
        for place, (kinds, answer) in enumerate(self._calls):
            if method.name in kinds:
                del self._calls[place]
                if not answer.done():
                    answer.set_result(method)
                return

    def end(self, error: ChannelClosed | ConnectionLost) -> None:
        """Note that the channel is closed."""
        if self.error is not None:
            return
        self.error = error
        self.connection.forget(self.number)
        for _, answer in self._calls:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # the caller may be gone
        self._calls.clear()
        self._confirms.give_up()
        self._subscriptions.clear()
        self._unacked.clear()
        for callback in self.on_closed:
            callback()


def _size_of(message: Outgoing) -> int:
    return len(message.body)
