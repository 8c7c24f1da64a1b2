"""Messages that go back to a queue, or to the dead letters: a copy is confirmed before the original is acknowledged."""

import asyncio
import logging

from asynctasq.driverkit.packing import damage_info
from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable
from asynctasq.settlement import ErrorInfo, Reason
from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.leases import Held, acknowledge
from asynctasq_rabbitmq.publishing import Letter, Publisher
from asynctasq_rabbitmq.records import (
    ERROR,
    REASON,
    Record,
    foreign_properties,
    message_id,
    properties_of,
    unpack_record,
)
from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.frames import Outgoing

logger = logging.getLogger("asynctasq_rabbitmq")

COUNT = "x-delivery-count"
"""Header of quorum queues: how often a message was delivered before."""
_ERROR_CHARACTERS = 1000
_TYPE_BYTES = 255


class Returns:
    """The copies that are not confirmed yet. One that cannot be published is tried again later.

    A message that was never given back with `nack` has been redelivered only if a connection was lost. So the
    broker's own count is a count of lost leases.
    """

    def __init__(self, publisher: Publisher, namespace: str) -> None:
        self._publisher = publisher
        self._namespace = namespace
        self._pending: list[tuple[Held, Letter]] = []
        self._flushing = asyncio.Lock()

    def __len__(self) -> int:
        """Return the number of copies that are not confirmed."""
        return len(self._pending)

    def add(self, held: Held, letter: Letter) -> None:
        """Return a message as this copy, at the next `flush`."""
        self._pending.append((held, letter))

    def add_copy(self, held: Held, known: Record, now: float) -> None:
        """Return a message with these counts."""
        self.add(held, self._publisher.copy(known, now))

    def add_unclaimed(self, held: Held) -> None:
        """Return a message that no worker has taken. A loss that the broker noted is kept in its record.

        A foreign message would keep its properties, with which the broker may refuse a copy. So it is dead now.
        """
        incoming = held.incoming
        if held.record is None:
            try:
                held.record = unpack_record(incoming.body)
            except BodyCorrupt as corrupt:
                self.add_unread(held, corrupt)
                return
            held.lost = held.known.lost
            if incoming.redelivered:
                count = incoming.headers().get(COUNT, 1)
                held.lost += count if isinstance(count, int) else 1
        self.add_copy(held, held.known.changed(lost=held.lost), held.known.due_at)

    def add_unread(self, held: Held, corrupt: BodyCorrupt) -> None:
        """Move a message that cannot be read to the dead letters."""
        headers = {
            REASON: Reason.UNDECODABLE.value,
            ERROR: str(damage_info(corrupt).message)[:_ERROR_CHARACTERS],
        }
        properties = foreign_properties(b"application/octet-stream", headers)
        queue = held.consumer.queue
        dead = names.dead_queue(self._namespace, queue)
        self.add(held, Letter(queue, Outgoing("", dead, properties, held.incoming.body, b"")))

    def dead_letter(self, known: Record, reason: Reason, error: ErrorInfo | None) -> Letter:
        """Return a message as a dead letter."""
        message = known.message
        headers: dict[str, str | int] = {REASON: reason.value}
        if error is not None:
            headers[ERROR] = f"{error.type}: {error.message}"[:_ERROR_CHARACTERS]
        text = message_id(message)
        properties = properties_of(message, text, headers)
        body = self._publisher.fitted(known.changed(error=error), properties)
        dead = names.dead_queue(self._namespace, message.queue)
        return Letter(message.queue, Outgoing("", dead, properties, body, text))

    def drop(self, channel: Channel) -> None:
        """Forget the copies of messages that the broker delivers again."""
        self._pending = [item for item in self._pending if item[0].incoming.channel is not channel]

    async def flush(self) -> None:
        """Publish the copies, and acknowledge the originals of those that were confirmed. Raises no error."""
        async with self._flushing:
            pending, self._pending = self._pending, []
            if not pending:
                return
            try:
                answers = await self._publisher.send([letter for _, letter in pending])
            except BaseException:  # the caller was cancelled
                self._pending += [item for item in pending if item[0].incoming.channel.is_open]
                raise
            done: list[Held] = []
            for (held, letter), error in zip(pending, answers, strict=True):
                if error is None:
                    done.append(held)
                elif held.incoming.channel.is_open:
                    self._pending.append((held, letter))
            acknowledge(done)
            self._report([answer for answer in answers if answer is not None])

    def _report(self, errors: list[DriverError]) -> None:
        refused = [each for each in errors if not isinstance(each, DriverUnavailable)]
        for error in (refused or errors)[:1]:
            logger.warning(
                "Could not give back %d messages; trying again: %s",
                len(errors),
                error,
                extra={"messages": len(errors)},
            )
