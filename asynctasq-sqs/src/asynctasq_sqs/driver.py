"""The SQS driver: tasks in queues of Amazon SQS."""

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Self

from asynctasq.contracts.capabilities import Capability, News
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.driver import DRIVER_API_VERSION, DriverDefaults, Enqueued, QueueCounts
from asynctasq.driverkit.numbers import bounded, check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.url_settings import settings_from
from asynctasq.message import Delivery, Lease, Message
from asynctasq.settlement import LeaseState, Settled, Settlement
from asynctasq_sqs.client import Session
from asynctasq_sqs.enqueueing import enqueue
from asynctasq_sqs.leases import Shared
from asynctasq_sqs.leasing import LONGEST_LEASE, extend
from asynctasq_sqs.names import is_fifo
from asynctasq_sqs.opened import Opened
from asynctasq_sqs.settings import SQSSettings
from asynctasq_sqs.settling import LONGEST_DELAY

DEFAULT_LEASE = 120.0
"""Seconds. Each extension is a call for ten messages."""


class SQSDriver(DriverDefaults):
    """Messages in queues of Amazon SQS, or of a service with the same interface.

    The arguments are the fields of `SQSSettings`. An argument that is None has its default. `session` is a
    session of your own, such as an `aioboto3.Session`: any object whose `client("sqs")` is an async context manager.
    """

    api_version = DRIVER_API_VERSION
    capabilities = Capability.DETACHED | Capability.NEWS
    longest_delay: float | None = float(LONGEST_DELAY)
    longest_lease = LONGEST_LEASE
    """Seconds for which a lease can be extended. A state store makes longer ones possible."""
    default_lease = DEFAULT_LEASE
    clock_is_movable = False
    may_deliver_twice = True

    def __init__(
        self,
        url: str = "sqs://",
        *,
        session: Session | None = None,
        region: str | None = None,
        namespace: str | None = None,
        endpoint_url: str | None = None,
        profile: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        queue_names: Mapping[str, str] | None = None,
        queue_url_prefix: str | None = None,
        create_queues: bool | None = None,
        max_message_bytes: int | None = None,
        long_poll: float | None = None,
        close_wait: float | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        max_connections: int | None = None,
        endpoint_hosts: bool | None = None,
    ) -> None:
        self._configure(settings_from(SQSSettings, url, locals()), session)

    @classmethod
    def from_settings(cls, settings: SQSSettings, session: Session | None = None) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings, session)
        return driver

    def _configure(self, settings: SQSSettings, session: Session | None) -> None:
        self.settings = settings
        self.description = settings.description
        self.max_message_bytes: int | None = settings.max_message_bytes
        self._session = session
        self._clock_offset = 0.0
        self._shared = Shared()
        self._open: Opened | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds added to the clock of this machine, in this instance alone."""
        return self._clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._clock_offset = seconds
        self._shared.hint_all()

    def clone(self) -> Self:
        clone = self.from_settings(self.settings, self._session)
        clone._clock_offset = self._clock_offset
        clone._shared = self._shared
        return clone

    async def open(self) -> None:
        if self._open is not None and self._open.process == os.getpid():
            return
        if (
            self._shared.process != os.getpid()
        ):  # in a forked child, leases and messages are the parent's
            self._shared = Shared()
        self._open = await Opened.make(
            self.settings, self._shared, self._session, lambda: self._clock_offset
        )

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None and opened.process == os.getpid():
            await opened.close()

    def _opened(self) -> Opened:
        process = 0 if self._open is None else self._open.process
        return check_open(f"The SQS driver of {self.description}", self._open, process)

    def longest_delay_of(self, queue: str) -> float:
        """Return the longest delay of a new message in this queue, in seconds: 0 if it is FIFO."""
        name = self.settings.queue_names.get(queue, queue)
        return 0.0 if is_fifo(name) else float(LONGEST_DELAY)

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        opened = self._opened()
        return await enqueue(opened.settling, messages) if messages else []

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        deliveries, deaths = await self.reserve_and_deaths(
            queues, limit=limit, owner=owner, lease=lease
        )
        if deaths:
            await self._opened().reserving.bury(deaths)
        return deliveries

    async def reserve_and_deaths(
        self,
        queues: Mapping[str, int],
        *,
        limit: int,
        owner: str,  # noqa: ARG002 - SQS has no owners
        lease: float,
    ) -> tuple[list[Delivery], list[Death]]:
        check_lease(lease)
        return await self._opened().reserving.reserve(queues, limit, lease)

    async def discard_queues(self, queues: Collection[str]) -> None:
        """Delete queues, with their messages and dead letters, as the conformance suite does after its checks."""
        opened = self._opened()
        for queue in queues:
            await opened.queues.discard(queue)

    def news(self) -> list[News]:
        """Return messages whose lease ended or that died, as far as `reserve` of this process has found them."""
        found: list[News] = []
        while self._shared.news:
            found.append(self._shared.news.popleft())
        return found

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await self._opened().polls.wait(queues, timeout)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        opened = self._opened()
        return await opened.settling.settle(settlements) if settlements else []

    async def extend(
        self,
        owner: str,  # noqa: ARG002 - SQS has no owners
        leases: Sequence[Lease],
        *,
        lease: float,
    ) -> list[LeaseState]:
        check_lease(lease)
        opened = self._opened()
        return await extend(
            opened.clock,
            opened.client,
            opened.queues,
            leases,
            lease,
            longest=self.longest_lease,
        )

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        opened = self._opened()
        work, dead = await asyncio.gather(
            opened.queues.sizes(queue), opened.queues.sizes(queue, is_dead=True)
        )
        return QueueCounts(
            ready=bounded(work.ready, bound),
            scheduled=bounded(work.scheduled, bound),
            leased=bounded(work.leased, bound),
            dead=bounded(dead.ready + dead.leased, bound),
        )
