"""The MySQL driver: each method of the driver contract is one transaction, or a few."""

import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
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
    SchemaState,
    Snapshot,
)
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import DRIVER_API_VERSION, DriverDefaults, Enqueued, QueueCounts
from asynctasq.driverkit.numbers import check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.times import micros
from asynctasq.driverkit.url_settings import settings_from
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import Complete, LeaseState, Reason, Settled, Settlement
from asynctasq_mysql import (
    brokered,
    dead_letters,
    editing,
    inspection,
    leasing,
    listing,
    planning,
    schema,
    settling,
)
from asynctasq_mysql.addresses import described
from asynctasq_mysql.connections import Connections
from asynctasq_mysql.enqueueing import enqueue
from asynctasq_mysql.event_calls import EventCalls
from asynctasq_mysql.id_search import match_ids
from asynctasq_mysql.metric_calls import MetricCalls
from asynctasq_mysql.opening import open_store
from asynctasq_mysql.reserving import Reserve
from asynctasq_mysql.schedule_calls import ScheduleCalls
from asynctasq_mysql.settings import DEFAULT_URL, ClientName, MySQLSettings
from asynctasq_mysql.state_calls import StateCalls
from asynctasq_mysql.store import Store
from asynctasq_mysql.unique_enqueueing import unique_enqueue_steps
from asynctasq_mysql.waiting import Poller
from asynctasq_mysql.worker_calls import WorkerCalls

if TYPE_CHECKING:
    from asynctasq_mysql.outbox import MySQLOutbox


class MySQLDriver(StateCalls, MetricCalls, ScheduleCalls, WorkerCalls, EventCalls, DriverDefaults):
    """Messages in a database of MySQL (8.0.19 or later) or MariaDB (10.6 or later).

    Accepted messages are as durable as the server is configured to make them (see docs/mysql.md). The arguments
    are the fields of `MySQLSettings`. An argument that is None has its value from the URL, or its default.
    """

    api_version = DRIVER_API_VERSION
    capabilities = (
        FULL_STORE
        | Capability.SCHEMA
        | Capability.NEWS
        | Capability.TRANSACTIONS
        | Capability.OUTBOX
        | Capability.STATE
        | Capability.METRICS
        | Capability.MOVE
        | Capability.EVENTS
        | Capability.SCHEDULES
        | Capability.WORKER_REQUESTS
    )
    max_message_bytes: int | None = None
    """Half of the server's `max_allowed_packet`, from `open` on."""
    dialect = "mysql"
    plans_when_open = True

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        host: str | None = None,
        port: int | None = None,
        socket: str | None = None,
        username: str | None = None,
        password: str | None = None,
        database: str | None = None,
        namespace: str | None = None,
        table_prefix: str | None = None,
        client: ClientName | None = None,
        max_connections: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        dead_letter_ttl: float | None = None,
        dead_letter_limit: int | None = None,
        tls: bool | None = None,
        tls_ca: str | None = None,
        tls_certificate: str | None = None,
        tls_key: str | None = None,
        tls_verify: bool | None = None,
    ) -> None:
        self._configure(settings_from(MySQLSettings, url, locals()))

    @classmethod
    def from_settings(cls, settings: MySQLSettings) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings)
        return driver

    def _configure(self, settings: MySQLSettings) -> None:
        self.settings = settings
        self.description = described(settings.address(), settings.namespace)
        self._clock_offset = 0.0
        self._store: Store | None = None
        self._poller: Poller | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds added to the server's clock, in this instance alone."""
        return self._clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._clock_offset = seconds
        if self._store is not None:
            self._store.offset = micros(seconds)

    def clone(self) -> Self:
        clone = self.from_settings(self.settings)
        clone._clock_offset = self._clock_offset
        return clone

    async def open(self) -> None:
        if self._store is not None and self._store.connections.process == os.getpid():
            return
        store = await open_store(self.settings, self.description, micros(self._clock_offset))
        self.max_message_bytes = store.largest
        self._store = store
        self._poller = Poller(store)

    async def close(self) -> None:
        store, self._store = self._store, None
        poller, self._poller = self._poller, None
        if store is None or poller is None or store.connections.process != os.getpid():
            return
        try:
            await poller.close()
        finally:
            await store.connections.close()

    def _opened(self) -> Store:
        store = self._store
        process = 0 if store is None else store.connections.process
        return check_open(f"The MySQL driver of {self.description}", store, process)

    def _polling(self) -> Poller:
        self._opened()
        poller = self._poller
        assert poller is not None
        return poller

    # Required.

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        store = self._opened()
        if not messages:
            return []
        queues = await store.numbers((message.queue for message in messages), creates=True)
        if any(message.unique is not None for message in messages):
            answers = await store.transact(lambda: unique_enqueue_steps(store, messages, queues))
        else:
            answers = await enqueue(store, messages, queues)
        poller = self._polling()
        poller.note_work()
        poller.look_now()
        return answers

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        deliveries = await Reserve(self._opened(), queues, limit, owner, lease)()
        if self._poller is not None:
            if deliveries:
                self._poller.note_work()
            elif limit > 0:
                self._poller.note_empty([name for name, most in queues.items() if most > 0])
        return deliveries

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await self._polling().wait(timeout, queues=queues)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        store = self._opened()
        answers = await settling.settle(store, settlements) if settlements else []
        if self._poller is not None:
            self._poller.look_now()
        return answers

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        return await leasing.extend(self._opened(), owner, leases, lease)

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        return await inspection.count(self._opened(), queue, bound)

    def news(self) -> Sequence[News]:
        if self._store is None:
            return []
        news = list(self._store.news)
        self._store.news.clear()
        return news

    # Results and progress.

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        return await inspection.results(self._opened(), ids)

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        return await inspection.known(self._opened(), ids)

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        await self._polling().wait(timeout, ids=ids)

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        await settling.set_progress(self._opened(), updates)

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        store = self._opened()
        return await brokered.with_noted(store, ids, await inspection.progress(store, ids))

    # Cancel and pause.

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        store = self._opened()
        return await store.transact(lambda: settling.cancel_steps(store, ids))

    async def cancel_requests(self, owner: str) -> list[Lease]:
        return await leasing.cancel_requests(self._opened(), owner)

    async def pause(self, queue: str) -> None:
        await inspection.set_paused(self._opened(), queue, paused=True)

    async def resume(self, queue: str) -> None:
        await inspection.set_paused(self._opened(), queue, paused=False)

    async def paused(self) -> frozenset[str]:
        return await inspection.paused_queues(self._opened())

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
        return await listing.dead_letters(self._opened(), chosen, limit=limit, cursor=cursor)

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        return await dead_letters.requeue(self._opened(), ids)

    async def requeue_edited(self, message: Message) -> bool:
        return await dead_letters.requeue_edited(self._opened(), message)

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        return await editing.edit(self._opened(), ids, changes)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return await dead_letters.delete_dead(self._opened(), ids)

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        return await inspection.queues(self._opened(), bound)

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        return await inspection.find(self._opened(), ids)

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await match_ids(self._opened(), part, limit=limit, cursor=cursor)

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
        return await listing.browse(self._opened(), state, chosen, limit=limit, cursor=cursor)

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        return await dead_letters.purge(self._opened(), queue, states)

    # Workers and schema.

    async def store_version(self) -> str:
        """Return the version of the server, which names MariaDB."""
        return await inspection.server_version(self._opened())

    async def schema(self) -> SchemaState:
        """Return the versions. Works on a driver that is not open, too."""
        async with _connections(self._store, self) as connections:
            return await connections.call(
                lambda wire: schema.schema_state(wire, connections.statements)
            )

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Bring the tables to the needed version. Works on a driver that is not open, too."""
        async with _connections(self._store, self) as connections:
            return await connections.call(
                lambda wire: schema.migrate(
                    wire, connections.statements, self.description, dry_run=dry_run
                ),
                is_long=True,
            )

    def outbox(self) -> "MySQLOutbox":
        """Return an unopened outbox in the database, which may have no queue in it."""
        from asynctasq_mysql.outbox import MySQLOutbox

        return MySQLOutbox(self.settings, self._clock_offset)

    # Transactions of the application.

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        return planning.plan_enqueue(self._opened(), messages)

    def plan_cancel(self, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
        return planning.plan_cancel(self._opened(), ids)

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        return planning.plan_complete(self._opened(), settlement)

    def plan_states(self, ids: Sequence[bytes]) -> Plan[list[State | None]]:
        return planning.plan_states(self._opened(), ids)

    async def committed(self, queues: Sequence[str]) -> None:  # noqa: ARG002 - one poller serves all queues
        poller = self._polling()
        poller.note_work()
        poller.look_now()


@asynccontextmanager
async def _connections(store: Store | None, driver: MySQLDriver) -> AsyncIterator[Connections]:
    """Yield the connections of an open driver, or others that are closed at the end."""
    if store is not None:
        yield store.connections
        return
    connections = Connections(driver.settings, driver.description)
    try:
        yield connections
    finally:
        await connections.close()
