"""The RabbitMQ driver: each method of the driver contract is one call of the hub."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from types import MappingProxyType
from typing import Self

from asynctasq.contracts.capabilities import Capability, SchemaState
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.capabilities.news import News
from asynctasq.contracts.driver import (
    DRIVER_API_VERSION,
    DriverDefaults,
    Enqueued,
    EnqueuedPartly,
    QueueCounts,
)
from asynctasq.driverkit.numbers import bounded, check_lease, check_numbers
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.selection import due_time
from asynctasq.driverkit.url_settings import settings_from
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import LeaseState, Settled, Settlement
from asynctasq_rabbitmq import migrating, names
from asynctasq_rabbitmq.addresses import described
from asynctasq_rabbitmq.broker import Broker
from asynctasq_rabbitmq.hub import HUBS, Hub
from asynctasq_rabbitmq.publishing import Letter
from asynctasq_rabbitmq.records import Record
from asynctasq_rabbitmq.reserving import Reserve, Reserved
from asynctasq_rabbitmq.settings import DEFAULT_URL, Delays, QueueType, RabbitMQSettings
from asynctasq_rabbitmq.settling import Settle, extend


class RabbitMQDriver(DriverDefaults):
    """Messages in the queues of RabbitMQ 3.8 or later.

    Publishes are confirmed, so accepted messages are as durable as the queue (see docs/rabbitmq.md). The arguments
    are the fields of `RabbitMQSettings`. An argument that is None has its value from the URL, or its default.
    """

    api_version = DRIVER_API_VERSION
    max_message_bytes: int | None
    """As in the settings."""
    clock_is_movable = False
    remedies = MappingProxyType(
        {
            Capability.PRIORITY: (
                "Or set rabbitmq.priorities = true, which creates queues with priorities (see docs/rabbitmq.md)."
            )
        }
    )

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        virtual_host: str | None = None,
        namespace: str | None = None,
        queue_type: QueueType | None = None,
        priorities: bool | None = None,
        delays: Delays | None = None,
        queues: str | None = None,
        consumer_timeout: float | None = None,
        heartbeat: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        max_message_bytes: int | None = None,
        dead_letter_ttl: float | None = None,
        dead_letter_limit: int | None = None,
        tls: bool | None = None,
        tls_ca: str | None = None,
        tls_certificate: str | None = None,
        tls_key: str | None = None,
        tls_verify: bool | None = None,
    ) -> None:
        self._configure(settings_from(RabbitMQSettings, url, locals()))

    @classmethod
    def from_settings(cls, settings: RabbitMQSettings) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings)
        return driver

    def _configure(self, settings: RabbitMQSettings) -> None:
        self.settings = settings
        self.description = described(settings.address(), settings.namespace)
        self.capabilities = Capability.SCHEMA | Capability.NEWS
        if settings.priorities:
            self.capabilities |= Capability.PRIORITY
        self.max_message_bytes = settings.max_message_bytes
        self.longest_delay = None if settings.delays == "levels" else 0.0
        self._clock_offset = 0.0
        self._hub: Hub | None = None
        self._process = 0
        self._news: list[News] = []

    @property
    def clock_offset(self) -> float:
        """Seconds added to the clock, for all drivers of the process with these settings."""
        return self._clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._clock_offset = seconds
        if self._hub is not None:
            self._hub.post(lambda broker: broker.move_clock(seconds))

    def clone(self) -> Self:
        clone = self.from_settings(self.settings)
        clone._clock_offset = self._clock_offset
        return clone

    def _key(self) -> str:
        return repr((type(self), astuple(self.settings)))

    async def open(self) -> None:
        if self._hub is not None and self._process == os.getpid():
            return
        hub = HUBS.enter(self._key(), self.settings, self.description)
        try:
            await hub.call(lambda broker: broker.open())
        except BaseException:
            await HUBS.leave(self._key(), hub)
            raise
        self._hub, self._process = hub, os.getpid()
        if self._clock_offset:
            self.clock_offset = self._clock_offset

    async def close(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None and self._process == os.getpid():
            await HUBS.leave(self._key(), hub)

    def _opened(self) -> Hub:
        return check_open(f"The RabbitMQ driver of {self.description}", self._hub, self._process)

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        hub = self._opened()
        if not messages:
            return []
        broker = hub.made
        now = broker.now()
        letters: list[Letter] = []
        for message in messages:
            check_numbers(message)
            letters.append(
                broker.publisher.letter(Record(message, now, due_time(message, now)), now)
            )
        errors = await hub.call(lambda broker: broker.publisher.send(letters))
        return _answers(messages, errors)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        reserved = await self._reserve(queues, limit, owner, lease, with_deaths=False)
        return reserved.deliveries

    async def reserve_and_deaths(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> tuple[list[Delivery], list[Death]]:
        """Reserve, but lease messages that must not run to the caller as well."""
        reserved = await self._reserve(queues, limit, owner, lease, with_deaths=True)
        return reserved.deliveries, reserved.deaths

    async def _reserve(
        self,
        queues: Mapping[str, int],
        limit: int,
        owner: str,
        lease: float,
        *,
        with_deaths: bool,
    ) -> Reserved:
        check_lease(lease)

        async def reserve(broker: Broker) -> Reserved:
            call = Reserve(broker, limit=limit, owner=owner, lease=lease, with_deaths=with_deaths)
            return await call(queues)

        reserved = await self._opened().call(reserve)
        self._news.extend(reserved.news)
        return reserved

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await self._opened().call(lambda broker: broker.wait(queues, timeout))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        hub = self._opened()
        return await hub.call(lambda broker: Settle(broker)(settlements)) if settlements else []

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        return await self._opened().call(lambda broker: extend(broker, owner, leases, lease))

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        async def count(broker: Broker) -> QueueCounts:
            space = self.settings.namespace
            ready = await broker.topology.count(names.work_queue(space, queue))
            dead = await broker.topology.count(names.dead_queue(space, queue))
            if ready is None:
                return QueueCounts()
            waiting = broker.consumer(queue).waiting
            return QueueCounts(
                ready=bounded(ready + waiting, bound),
                scheduled=None,
                leased=bounded(broker.leases.count(queue), bound),
                dead=bounded(dead or 0, bound),
            )

        return await self._opened().call(count)

    async def discard_queues(self, queues: Collection[str]) -> None:
        """Delete queues, with their messages and dead letters, as the conformance suite does after its checks."""

        async def discard(broker: Broker) -> None:
            for queue in queues:
                await broker.topology.discard(queue)

        await self._opened().call(discard)

    def news(self) -> Sequence[News]:
        news, self._news = self._news, []
        return news

    async def schema(self) -> SchemaState:
        """Return 1 as the version if all queues and exchanges of the settings exist. Works on a closed driver."""
        return await migrating.schema(self.settings, self.description)

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Create the queues and exchanges of the settings. Works on a driver that is not open, too."""
        return await migrating.migrate(self.settings, self.description, dry_run=dry_run)


def _answers(messages: Sequence[Message], errors: Sequence[DriverError | None]) -> list[Enqueued]:
    """Return the answers to an enqueue, or raise the error of its messages."""
    failed = [error for error in errors if error is not None]
    answers: list[Enqueued | DriverError] = [
        Enqueued(message.id, created=True) if error is None else error
        for message, error in zip(messages, errors, strict=True)
    ]
    if not failed:
        return [answer for answer in answers if isinstance(answer, Enqueued)]
    unanswered = [error for error in failed if isinstance(error, DriverUnavailable)]
    if len(failed) == len(messages) and len(unanswered) in {0, len(failed)}:
        raise failed[0]
    raise EnqueuedPartly(
        f"The broker accepted {len(messages) - len(failed)} of {len(messages)} messages: {failed[0]}",
        answers=answers,
    )
