"""The queues and exchanges at the broker: declared when they are first needed on a connection."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from pamqp import base, commands
from pamqp.common import FieldTable, FieldValue

from asynctasq.errors import DriverError
from asynctasq_rabbitmq import names
from asynctasq_rabbitmq.lines import Line
from asynctasq_rabbitmq.settings import QueueType, RabbitMQSettings
from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.errors import (
    ACCESS_REFUSED,
    NOT_FOUND,
    PRECONDITION_FAILED,
    ChannelClosed,
)

logger = logging.getLogger("asynctasq_rabbitmq")

NO_LIMIT_FROM = (4, 0)
"""Version from which on quorum queues have a delivery limit, unless -1 is set. Before, -1 drops messages."""
QUORUM_TTL_FROM = (3, 10)
"""Version from which on quorum queues have times to live."""
QUORUM_PRIORITIES_FROM = (4, 3)
MOST_PRIORITIES = 10
CANCEL_ON_FAILURE = "x-cancel-on-ha-failover"
"""Argument of a consumer of a classic queue. Without it, the broker consumes a queue that has failed again by itself,
and the client does not learn that its unacknowledged messages are ready again."""
HELD_TTL, HELD_EXPIRES = 3000, 3_600_000
"""Milliseconds until a held message that has lost its consumer goes back, and until an unused queue is deleted."""
_UNUSABLE: Mapping[str, str] = {
    "'stream'": "must be a queue, got a stream",
    "arg 'durable'": "must be durable, got a queue that the broker deletes when it restarts",
    "arg 'auto_delete'": "must be kept, got a queue that the broker deletes with its last consumer",
}
"""Parts of the broker's answer about existing queues that would lose messages, and what is wrong with them."""


def version_of(server: FieldTable) -> tuple[int, ...]:
    """Return the version in the properties of a broker; (0, 0) if there is none."""
    text = str(server.get("version", "")).split("-", 1)[0]
    numbers = tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
    return numbers or (0, 0)


def work_arguments(
    settings: RabbitMQSettings, version: Sequence[int], dead: str
) -> dict[str, FieldValue]:
    """Return the arguments of a new queue for tasks, whose dead letters go to the queue `dead`."""
    arguments: dict[str, FieldValue] = {
        "x-queue-type": settings.queue_type,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    if settings.priorities:
        arguments["x-max-priority"] = MOST_PRIORITIES
    if settings.queue_type == "quorum" and tuple(version) >= NO_LIMIT_FROM:
        arguments["x-delivery-limit"] = -1
    return arguments


def dead_arguments(settings: RabbitMQSettings, version: Sequence[int]) -> dict[str, FieldValue]:
    """Return the arguments of a new queue for dead letters."""
    arguments: dict[str, FieldValue] = {
        "x-queue-type": settings.queue_type,
        "x-max-length": settings.dead_letter_limit,
        "x-overflow": "drop-head",
    }
    if settings.queue_type == "classic" or tuple(version) >= QUORUM_TTL_FROM:
        arguments["x-message-ttl"] = int(settings.dead_letter_ttl * 1000)
    return arguments


def consumer_arguments(queue_type: QueueType) -> dict[str, FieldValue]:
    """Return the arguments of a consumer. Quorum queues do not need the argument, and refuse it."""
    return {CANCEL_ON_FAILURE: True} if queue_type == "classic" else {}


class Topology:
    """The queues and exchanges of a namespace, and those for delays, which all namespaces share."""

    def __init__(self, line: Line, settings: RabbitMQSettings, place: str) -> None:
        self._line = line
        self._settings = settings
        self._place = place
        self._known: set[str] = set()
        self._warned: set[str] = set()
        self._declaring = asyncio.Lock()
        self._version: tuple[int, ...] = (0, 0)
        line.on_lost.append(self._known.clear)

    async def check(self) -> None:
        """Check that the broker has what the settings ask for, and create what delays need.

        Raises:
            DriverError: it has not, or the user may not create it.
        """
        await self.connect()
        settings = self._settings
        if (
            settings.priorities
            and settings.queue_type == "quorum"
            and self._version < QUORUM_PRIORITIES_FROM
        ):
            raise DriverError(
                f"rabbitmq.priorities needs classic queues on RabbitMQ {_text(self._version)}. Set "
                'rabbitmq.queue_type = "classic", or turn priorities off.'
            )
        if settings.delays == "levels":
            await self.ensure_levels()

    async def connect(self) -> None:
        """Connect, and note the version of the broker."""
        connection = await self._line.connection()
        self._version = version_of(connection.server)

    @property
    def level_type(self) -> QueueType:
        """The type of the queues for delays."""
        return self._settings.queue_type if self._version >= QUORUM_TTL_FROM else "classic"

    def forget(self, queue: str) -> None:
        """Declare a queue again when it is used next."""
        self._known.discard(queue)

    async def ensure(self, queue: str) -> None:
        """Create a queue with its dead letters, unless it is known to exist.

        Raises:
            DriverError: it does not exist, and the user may not create it.
            ChannelClosed, ConnectionLost: the broker gave no answer.
        """
        if queue in self._known:
            return
        async with self._declaring:
            if queue in self._known:
                return
            settings = self._settings
            work = names.work_queue(settings.namespace, queue)
            dead = names.dead_queue(settings.namespace, queue)
            await self._declare(dead, dead_arguments(settings, self._version))
            created = await self._declare(work, work_arguments(settings, self._version, dead))
            if created and settings.delays == "levels":
                await self._bind(work)
            self._known.add(queue)

    async def discard(self, queue: str) -> None:
        """Delete a queue and its dead letters."""
        space = self._settings.namespace
        async with self._declaring:
            self._known.discard(queue)
            for name in (names.work_queue(space, queue), names.dead_queue(space, queue)):
                await self._call(commands.Queue.Delete(0, name))

    async def declare_held(self, name: str) -> None:
        """Create the queue for the long tasks of a process, and its exchange.

        A message keeps its routing key, the name of its work queue, and goes there when its time is over.
        """
        arguments: dict[str, FieldValue] = {
            "x-queue-type": self.level_type,
            "x-message-ttl": HELD_TTL,
            "x-expires": HELD_EXPIRES,
            "x-dead-letter-exchange": "",
        }
        async with self._declaring:
            await self._calls(
                (
                    commands.Exchange.Declare(0, name, "fanout", False, True, True),
                    _queue(name, arguments=arguments),
                    commands.Queue.Bind(0, name, name, ""),
                )
            )

    async def _declare(self, name: str, arguments: Mapping[str, FieldValue]) -> bool:
        """Declare a queue; return False if it exists and the user may not declare it."""
        try:
            await self._call(_queue(name, arguments=arguments))
        except ChannelClosed as error:
            if error.code == PRECONDITION_FAILED:
                self._check_usable(name, error)
                await self._call(_queue(name, passive=True))
                return True
            if error.code != ACCESS_REFUSED:
                raise
            try:
                await self._call(_queue(name, passive=True))
            except ChannelClosed as missing:
                if missing.code != NOT_FOUND:
                    raise
                raise DriverError(
                    f"The broker at {self._place} has no queue {name}, and refuses to let this user create it. "
                    "Name the queue in rabbitmq.queues and run `asynctasq migrate` as a user who may "
                    f"({error.text})."
                ) from error
            return False
        return True

    def _check_usable(self, name: str, error: ChannelClosed) -> None:
        for sign, problem in _UNUSABLE.items():
            if sign in error.text:
                raise DriverError(
                    f"{name} at {self._place} {problem}. Delete it, or set another namespace."
                ) from error
        if name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "Using the queue %s as it is, although its arguments differ. The broker names only the first "
                "difference; compare the others, because some lose tasks (see docs/rabbitmq.md): %s",
                name,
                error.text,
                extra={"queue": name, "store": self._place},
            )

    async def _bind(self, work: str) -> None:
        """Let delayed messages reach a queue."""
        calls = [] if names.DELIVER in self._known else _delivery()
        calls.append(commands.Queue.Bind(0, work, names.DELIVER, f"#.{names.word(work)}"))
        await self._calls(calls)
        self._known.add(names.DELIVER)

    # Delays.

    async def has_levels(self) -> bool:
        """Return whether the exchanges and queues for delays exist."""
        top = names.level(self.level_type, names.LEVELS - 1)
        try:
            await self._call(_exchange(top, "topic", passive=True))
        except ChannelClosed as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return True

    async def ensure_levels(self) -> None:
        """Create the exchanges and queues for delays, unless they exist.

        Raises:
            DriverError: they do not, and the user may not create them.
        """
        async with self._declaring:
            if await self.has_levels():
                return
            try:
                await self._calls(self.level_calls())
            except ChannelClosed as error:
                if error.code != ACCESS_REFUSED:
                    raise
                raise DriverError(
                    f"The broker at {self._place} lacks the queues for delays, and refuses to let this user "
                    f"create them. Run `asynctasq migrate` as a user who may ({error.text})."
                ) from error

    def level_calls(self) -> list[base.Frame]:
        """Return the calls that create the levels. The exchange by which they are found is among the last."""
        kind = self.level_type
        calls = _delivery()
        for number in range(names.LEVELS):
            name = names.level(kind, number)
            below = names.level(kind, number - 1) if number else names.DELIVER
            arguments: dict[str, FieldValue] = {
                "x-queue-type": kind,
                "x-message-ttl": int(names.UNIT * 2**number * 1000),
                "x-dead-letter-exchange": below,
            }
            if kind == "quorum":
                arguments["x-dead-letter-strategy"] = "at-least-once"
                arguments["x-overflow"] = "reject-publish"
            digit = "*." * (names.LEVELS - 1 - number)
            calls += (
                _queue(name, arguments=arguments),
                _exchange(name, "topic"),
                commands.Queue.Bind(0, name, name, f"{digit}1.#"),
                commands.Exchange.Bind(0, below, name, f"{digit}0.#"),
            )
        return calls

    # Counting.

    async def count(self, name: str) -> int | None:
        """Return how many messages of a queue at the broker are ready; None if there is no such queue."""
        try:
            answer = await self._call(_queue(name, passive=True))
        except ChannelClosed as error:
            if error.code != NOT_FOUND:
                raise
            return None
        assert isinstance(answer, commands.Queue.DeclareOk)
        return answer.message_count

    async def _channel(self) -> Channel:
        return await self._line.channel("topology")

    async def _call(self, method: base.Frame) -> base.Frame:
        channel = await self._channel()
        return await channel.call(method, base.Frame)

    async def _calls(self, methods: Sequence[base.Frame]) -> None:
        channel = await self._channel()
        answers = [channel.start(method) for method in methods]
        for answer in answers:
            await channel.connection.answer(answer)


def _delivery() -> list[base.Frame]:
    """Return the calls that create the exchange to which all delays lead."""
    return [
        _exchange(names.UNDELIVERED, "fanout"),
        _queue(names.UNDELIVERED, arguments={"x-queue-type": "classic"}),
        commands.Queue.Bind(0, names.UNDELIVERED, names.UNDELIVERED, ""),
        _exchange(names.DELIVER, "topic", {"alternate-exchange": names.UNDELIVERED}),
    ]


def _queue(
    name: str, *, passive: bool = False, arguments: Mapping[str, FieldValue] | None = None
) -> base.Frame:
    return commands.Queue.Declare(
        0, name, passive, True, False, False, False, dict(arguments or {})
    )


def _exchange(
    name: str,
    kind: str,
    arguments: Mapping[str, FieldValue] | None = None,
    *,
    passive: bool = False,
) -> base.Frame:
    return commands.Exchange.Declare(
        0, name, kind, passive, True, False, False, False, dict(arguments or {})
    )


def _text(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
