"""Publishing with confirms: every message gets its own answer."""

from collections.abc import Callable, Sequence

from asynctasq.errors import DriverError, DriverUnavailable, MessageTooLargeForStore
from asynctasq.records import record
from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.errors import largest_message, translated
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.records import (
    Record,
    message_id,
    pack_fitted,
    pack_record,
    properties_of,
)
from asynctasq_rabbitmq.settings import RabbitMQSettings
from asynctasq_rabbitmq.topology import Topology
from asynctasq_rabbitmq.wire.confirms import Answer
from asynctasq_rabbitmq.wire.errors import (
    ACCESS_REFUSED,
    NOT_FOUND,
    ChannelClosed,
    ConnectionLost,
)
from asynctasq_rabbitmq.wire.frames import Outgoing

ENVELOPE = 512
"""Bytes that the broker counts beside the body, at most."""
SPARE = 1024
"""Bytes of a new message that are left for the counts and the error of its copies."""


@record
class Letter:
    """A message to publish, and the queue that it is for."""

    queue: str
    outgoing: Outgoing
    is_delayed: bool = False


class Publisher:
    """Publishes on a connection of its own, so that a broker that refuses messages still reads acknowledgements."""

    def __init__(
        self, line: Line, topology: Topology, settings: RabbitMQSettings, place: str
    ) -> None:
        self._line = line
        self._topology = topology
        self._settings = settings
        self._place = place
        self.largest = settings.max_message_bytes
        """Bytes of the largest message that the broker accepts."""
        self.on_published: Callable[[str], None] = _ignore
        """Called with the name of the queue of each message that was accepted."""

    async def send(self, letters: Sequence[Letter]) -> list[DriverError | None]:
        """Publish messages; return the error of each that was not accepted. Never raises."""
        errors = await self._ensure({letter.queue for letter in letters})
        answers: list[DriverError | None] = [errors.get(letter.queue) for letter in letters]
        places = [place for place, answer in enumerate(answers) if answer is None]
        again = await self._publish(letters, places, answers)
        if again:  # the queue was deleted after it was declared
            errors = await self._ensure({letters[place].queue for place in again})
            for place in again:
                answers[place] = errors.get(letters[place].queue)
            left = [place for place in again if answers[place] is None]
            for place in await self._publish(letters, left, answers):
                answers[place] = DriverError(
                    f"The broker at {self._place} has no queue for a message of {letters[place].queue!r}, and "
                    "dropped it. Check the bindings of its exchanges."
                )
        return answers

    async def _publish(
        self,
        letters: Sequence[Letter],
        places: Sequence[int],
        answers: list[DriverError | None],
    ) -> list[int]:
        """Publish some of the messages, and note the errors; return the places of those that no queue took."""
        if not places:
            return []
        try:
            channel = await self._line.channel("publish", confirms=True)
            found = await channel.publish(
                [letters[place].outgoing for place in places], timeout=self._settings.timeout
            )
        except (ChannelClosed, ConnectionLost) as error:
            for place in places:
                answers[place] = translated(error, self._place)
            return []
        unroutable: list[int] = []
        accepted: list[str] = []
        for place, answer in zip(places, found, strict=True):
            if answer is Answer.ACCEPTED:
                accepted.append(letters[place].queue)
            elif answer is Answer.UNROUTABLE:
                self._topology.forget(letters[place].queue)
                unroutable.append(place)
            else:
                answers[place] = self._error(answer, channel.error, letters[place].outgoing)
        for queue in accepted:
            self.on_published(queue)
        return unroutable

    def _error(self, answer: Answer, closed: Exception | None, outgoing: Outgoing) -> DriverError:
        if answer is Answer.REFUSED:
            return DriverUnavailable(
                f"The broker at {self._place} refused a message, for example because its queue is full."
            )
        if isinstance(closed, ChannelClosed):
            self.largest = min(largest_message(closed) or self.largest, self.largest)
            if (
                closed.code in {ACCESS_REFUSED, NOT_FOUND}
                and _named(outgoing.exchange) in closed.text
            ):
                return translated(closed, self._place)
        if closed is not None:
            return DriverUnavailable(f"The broker at {self._place} gave no answer ({closed}).")
        reason = self._line.blocked or "no confirm in time"
        return DriverUnavailable(f"The broker at {self._place} gave no answer ({reason}).")

    async def _ensure(self, queues: set[str]) -> dict[str, DriverError]:
        errors: dict[str, DriverError] = {}
        for queue in queues:
            try:
                await self._topology.ensure(queue)
            except DriverError as error:
                errors[queue] = error
            except (ChannelClosed, ConnectionLost) as error:
                errors[queue] = translated(error, self._place)
        return errors

    # Letters.

    def letter(self, known: Record, now: float) -> Letter:
        """Return a new message for its queue, by way of the delays if it is not due.

        Raises:
            DriverError: the message is too large, or delays are off.
        """
        text = message_id(known.message)
        properties = properties_of(known.message, text)
        body = pack_record(known)
        self._check_size(len(body) + len(properties))
        return self._routed(known, now, text, properties, body)

    def copy(self, known: Record, now: float) -> Letter:
        """Return a message that the broker has stored before. Its error is shortened to what fits.

        Raises:
            DriverError: delays are off.
        """
        text = message_id(known.message)
        properties = properties_of(known.message, text)
        return self._routed(known, now, text, properties, self.fitted(known, properties))

    def fitted(self, known: Record, properties: bytes) -> bytes:
        """Return the body of a copy, with as much of its error as the size limit leaves room for."""
        return pack_fitted(known, self.largest - ENVELOPE - len(properties))

    def _routed(
        self, known: Record, now: float, text: bytes, properties: bytes, body: bytes
    ) -> Letter:
        message = known.message
        work = names.work_queue(self._settings.namespace, message.queue)
        seconds = known.due_at - now
        if seconds < names.UNIT:
            return Letter(message.queue, Outgoing("", work, properties, body, text))
        exchange, key = self.delay_route(seconds, work)
        return Letter(message.queue, Outgoing(exchange, key, properties, body, text), True)

    def delay_route(self, seconds: float, work: str) -> tuple[str, str]:
        """Return exchange and routing key of a delayed message."""
        if self._settings.delays == "off":
            raise DriverError(
                f"rabbitmq.delays must be 'levels' for a delay of {seconds:g} s, got 'off'. Change the setting."
            )
        return names.delay_route(self._topology.level_type, seconds, work)

    def _check_size(self, size: int) -> None:
        """Refuse a message that the broker would refuse.

        Raises:
            MessageTooLargeForStore: it is.
        """
        size += SPARE
        if size + ENVELOPE > self.largest:
            raise MessageTooLargeForStore(
                f"A message must have at most {self.largest} bytes for the broker at {self._place}, got {size}. "
                "Raise rabbitmq.max_message_bytes and the broker's max_message_size, or store large data elsewhere."
            )


def _named(exchange: str) -> str:
    """Return an exchange as errors of the broker name it."""
    return f"exchange '{exchange or 'amq.default'}'"


def _ignore(queue: str) -> None:
    """Do nothing with the name of a queue."""
