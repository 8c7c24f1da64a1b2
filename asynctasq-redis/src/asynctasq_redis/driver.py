"""The Redis driver: each method of the driver contract is one script, or a few."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from asynctasq.contracts.capabilities import (
    FULL_STORE,
    CancelOutcome,
    Capability,
    DeadLetter,
    News,
    Outcome,
    Page,
    QueueInfo,
    Snapshot,
)
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.contracts.driver import (
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.url_settings import settings_from
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import LeaseState, Reason, Settled, Settlement
from asynctasq_redis import admin, brokered, editing, inspection, leasing, listing
from asynctasq_redis.addresses import described
from asynctasq_redis.codec import BODY_LIMIT, text_bytes, token_of
from asynctasq_redis.enqueueing import enqueue, enqueue_one, is_simple
from asynctasq_redis.event_calls import EventCalls
from asynctasq_redis.id_search import match_ids
from asynctasq_redis.metric_calls import MetricCalls
from asynctasq_redis.schedule_calls import ScheduleCalls
from asynctasq_redis.settings import DEFAULT_URL, RedisSettings
from asynctasq_redis.settling import Packed, batches_of, pack_settlement, settle_arguments
from asynctasq_redis.timing import ListenerTiming
from asynctasq_redis.worker_calls import WorkerCalls

if TYPE_CHECKING:
    from asynctasq_redis.listener import Listener
    from asynctasq_redis.server import Server

AT_ONCE = 1000
"""Items that one script call takes."""
_DONE = ord("1")


class RedisDriver(MetricCalls, ScheduleCalls, WorkerCalls, EventCalls, DriverDefaults):
    """Messages in a Redis or Valkey server, from 6.2 on; also by Sentinel, or in a cluster.

    Accepted messages are as durable as the server is configured to make them (`appendonly`, replicas with
    `wait_replicas`; see docs/redis.md). The arguments are the fields of `RedisSettings`. An argument that is
    None has its value from the URL, or its default.
    """

    api_version = 2
    capabilities = (
        FULL_STORE
        | Capability.NEWS
        | Capability.STATE
        | Capability.METRICS
        | Capability.SCHEDULES
        | Capability.WORKER_REQUESTS
        | Capability.MOVE
        | Capability.EVENTS
    )
    max_message_bytes: int | None = BODY_LIMIT
    listener_timing = ListenerTiming()
    """Times of the connection that receives notifications."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        username: str | None = None,
        password: str | None = None,
        db: int | None = None,
        namespace: str | None = None,
        max_connections: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        wait_replicas: int | None = None,
        wait_replicas_timeout: float | None = None,
        dead_letter_ttl: float | None = None,
        dead_letter_limit: int | None = None,
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
        tls_ca: str | None = None,
        tls_certificate: str | None = None,
        tls_key: str | None = None,
        tls_verify: bool | None = None,
    ) -> None:
        self._configure(settings_from(RedisSettings, url, locals()))

    @classmethod
    def from_settings(cls, settings: RedisSettings) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings)
        return driver

    def _configure(self, settings: RedisSettings) -> None:
        self.settings = settings
        self.description = described(settings.address(), settings.namespace)
        self._offset = 0
        self._server: Server | None = None
        self._listener: Listener | None = None
        self._news = leasing.NewsBuffer()

    @property
    def clock_offset(self) -> float:
        """Seconds added to the server's clock, in this instance alone."""
        return self._offset / 1e6

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._offset = round(seconds * 1e6)
        if self._listener is not None:
            self._listener.look_again()

    def clone(self) -> Self:
        clone = self.from_settings(self.settings)
        clone._offset = self._offset
        clone.listener_timing = self.listener_timing
        return clone

    async def open(self) -> None:
        if self._server is not None and self._server.process == os.getpid():
            return
        from asynctasq_redis.listener import Listener
        from asynctasq_redis.server import Server
        from asynctasq_redis.upgrading import upgrade

        server = Server(self.settings, self.description)
        try:
            await server.greet()
            await upgrade(server, self._offset)
        except BaseException:
            await server.close()
            raise
        self._server = server
        self._listener = Listener(server, self.listener_timing)

    async def close(self) -> None:
        server, self._server = self._server, None
        listener, self._listener = self._listener, None
        if server is None or listener is None or server.process != os.getpid():
            return
        try:
            await listener.stop()
        finally:
            await server.close()

    def _opened(self) -> "Server":
        server = self._server
        if server is None or server.process != os.getpid():
            process = 0 if server is None else server.process
            return check_open(f"The Redis driver of {self.description}", server, process)
        return server

    # Required.

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        server = self._opened()
        if len(messages) == 1 and is_simple(messages[0]):
            [message] = messages
            if await enqueue_one(server, self._offset, message):
                return [Enqueued(message.id, True)]
        return await enqueue(server, self._offset, messages)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        call = leasing.Reserve(self._opened(), self._offset, owner, lease, self._news)
        return await call.reserve(queues, limit)

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        server, listener = self._opened(), self._listening()
        names = [text_bytes(name) for name in queues]

        async def look() -> float:
            answer = await server.run("wait", self._offset, listener.instance, *names)
            return float(answer) / 1e6

        await listener.wait_for_queues(queues, look, timeout)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        answers = [Settled.LOST] * len(settlements)
        packed: list[Packed] = []
        for number, settlement in enumerate(settlements):
            parts = pack_settlement(number, settlement)
            if isinstance(parts, tuple):
                packed.append(parts)
            else:
                answers[number] = parts
        for some in batches_of(packed):
            answer = await self._opened().run("settle", self._offset, *settle_arguments(some))
            for each, code in zip(some, answer, strict=True):
                if code == _DONE:
                    answers[each[0]] = Settled.DONE
        return answers

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        return await leasing.extend(self._opened(), self._offset, owner, leases, lease)

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        return await inspection.count(self._opened(), self._offset, queue, bound)

    def news(self) -> Sequence[News]:
        return self._news.drain()

    # Results and progress.

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        return await inspection.results(self._opened(), self._offset, ids)

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        server, listener = self._opened(), self._listening()

        async def look(looked_for: Sequence[bytes]) -> set[bytes]:
            ended: set[bytes] = set()
            for some in batches(looked_for, AT_ONCE):
                ended.update(
                    await server.run("wait_results", self._offset, listener.instance, *some)
                )
            return ended

        await listener.wait_for_ids(ids, look, timeout)

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        for some in batches(updates, AT_ONCE):
            parts: list[bytes | int] = []
            for lease, word in some:
                parts += (lease.id, token_of(lease), word)
            await self._opened().run("set_progress", *parts)

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for some in batches(ids, AT_ONCE):
            found += await self._opened().run("progress", self._offset, *some)
        return found

    # Cancel and pause.

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        return await brokered.cancel(self._opened(), self._offset, ids)

    async def cancel_requests(self, owner: str) -> list[Lease]:
        rows = await self._opened().run("cancel_requests", text_bytes(owner))
        return [Lease(one, token) for one, token in zip(rows[::2], rows[1::2], strict=True)]

    async def pause(self, queue: str) -> None:
        await self._opened().run("pause", self._offset, text_bytes(queue), "pause")

    async def resume(self, queue: str) -> None:
        await self._opened().run("pause", self._offset, text_bytes(queue), "resume")

    async def paused(self) -> frozenset[str]:
        names = await self._opened().run("paused")
        return frozenset(name.decode("utf-8", "surrogatepass") for name in names)

    # Dead letters, inspection, purge.

    async def dead_letters(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: Reason | None = None,
        error: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        chosen = listing.Filter(queue=queue, task=task, reason=reason, error=error)
        return await listing.dead_letters(
            self._opened(), self._offset, chosen, limit=limit, cursor=cursor
        )

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        return await admin.requeue(self._opened(), self._offset, ids)

    async def requeue_edited(self, message: Message) -> bool:
        return (await admin.requeue_messages(self._opened(), self._offset, [message]))[0]

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        return await editing.edit(self._opened(), self._offset, ids, changes)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return await admin.delete_dead(self._opened(), ids)

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        return await inspection.queues(self._opened(), self._offset, bound)

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        return await inspection.find(self._opened(), self._offset, ids)

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await match_ids(self._opened(), part, limit=limit, cursor=cursor)

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        return await inspection.known(self._opened(), ids)

    async def browse(
        self,
        state: State,
        *,
        queue: str | None = None,
        task: str | None = None,
        owner: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Snapshot]:
        chosen = listing.Filter(queue, task, owner, since, until)
        return await listing.browse(
            self._opened(), self._offset, state, chosen, limit=limit, cursor=cursor
        )

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        return await admin.purge(self._opened(), self._offset, queue, states)

    # State of messages that a broker holds.

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        return await brokered.finish(self._opened(), self._offset, ends)

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        return await brokered.cancel(self._opened(), self._offset, ids, flag_for=ttl)

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        return await brokered.marks(self._opened(), self._offset, ids)

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        return await brokered.adopt(self._opened(), self._offset, records)

    async def note(self, notes: Sequence[Note]) -> None:
        await brokered.note(self._opened(), self._offset, notes)

    async def store_version(self) -> str:
        """Return the version of the server. A user without the right to INFO gets an empty text."""
        return await admin.server_version(self._opened())

    def _listening(self) -> "Listener":
        listener = self._listener
        assert listener is not None
        return listener
