"""The PostgreSQL driver: the driver contract on functions in the database."""

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
    SchemaState,
    Snapshot,
)
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import (
    DRIVER_API_VERSION,
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.driverkit.numbers import check_lease, check_numbers
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.url_settings import settings_from
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import Complete, LeaseState, Reason, Settled, Settlement
from asynctasq_postgres import brokered, editing, inspection, letters, settling, transactions
from asynctasq_postgres.adding import add
from asynctasq_postgres.enqueueing import VALUE_LIMIT
from asynctasq_postgres.event_calls import EventCalls
from asynctasq_postgres.id_search import match_ids
from asynctasq_postgres.listing import Listing, read_page
from asynctasq_postgres.metric_calls import MetricCalls
from asynctasq_postgres.opened import Opened, look_at_tables, take_steps
from asynctasq_postgres.rows import dead_letter, snapshot
from asynctasq_postgres.schedule_calls import ScheduleCalls
from asynctasq_postgres.server import CallContext
from asynctasq_postgres.settings import (
    DEFAULT_URL,
    PostgresSettings,
    SynchronousCommit,
    Tls,
)
from asynctasq_postgres.state_calls import StateCalls
from asynctasq_postgres.timing import ListenerTiming
from asynctasq_postgres.worker_calls import WorkerCalls

if TYPE_CHECKING:
    from asynctasq_postgres.outbox import PostgresOutbox

LISTINGS = {
    State.READY: "ready",
    State.SCHEDULED: "scheduled",
    State.RUNNING: "running",
    State.DEAD: "dead",
}


class PostgresDriver(
    StateCalls, ScheduleCalls, MetricCalls, WorkerCalls, EventCalls, DriverDefaults
):
    """Messages in tables of a PostgreSQL database (13 or later).

    The arguments are the fields of `PostgresSettings`. An argument that is None has its value from the URL, or its
    default. `asynctasq migrate` creates the tables.
    """

    api_version = DRIVER_API_VERSION
    capabilities = (
        FULL_STORE
        | Capability.SCHEMA
        | Capability.NEWS
        | Capability.TRANSACTIONS
        | Capability.OUTBOX
        | Capability.STATE
        | Capability.SCHEDULES
        | Capability.WORKER_REQUESTS
        | Capability.METRICS
        | Capability.MOVE
        | Capability.EVENTS
    )
    dialect = "postgresql"
    plans_when_open = True
    max_message_bytes: int | None = VALUE_LIMIT
    listener_timing = ListenerTiming()
    """Times of the connection that receives notifications."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        database: str | None = None,
        namespace: str | None = None,
        schema: str | None = None,
        table_prefix: str | None = None,
        max_connections: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        listen: bool | None = None,
        listen_url: str | None = None,
        poll_interval: float | None = None,
        statement_cache_size: int | None = None,
        synchronous_commit: SynchronousCommit | None = None,
        dead_letter_ttl: float | None = None,
        dead_letter_limit: int | None = None,
        tls: Tls | None = None,
        tls_ca: str | None = None,
        tls_certificate: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        self._configure(settings_from(PostgresSettings, url, locals()))

    @classmethod
    def from_settings(cls, settings: PostgresSettings) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings)
        return driver

    def _configure(self, settings: PostgresSettings) -> None:
        self.settings = settings
        self.description = settings.description
        self._name = f"The PostgreSQL driver of {self.description}"
        self._context = CallContext(settings)
        self._open: Opened | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds added to the server's clock, in the calls of this instance alone."""
        return self._context.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._context.clock_offset = seconds

    def clone(self) -> Self:
        clone = self.from_settings(self.settings)
        clone._context.clock_offset = self.clock_offset
        return clone

    async def open(self) -> None:
        """Connect, and check the tables.

        Raises:
            DriverError: the tables are missing, or those of a release with which this one cannot share them.
        """
        if self._open is not None and self._open.process == os.getpid():
            return
        self._open = await Opened.start(self._context, self.listener_timing)

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.stop()

    def _opened(self) -> Opened:
        opened = self._open
        return check_open(self._name, opened, 0 if opened is None else opened.process)

    # Required.

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        opened = self._opened()
        if not messages:
            return []
        return await add(opened, messages)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        opened = self._opened()
        return await opened.leasing.reserve(
            queues,
            limit=limit,
            owner=owner,
            lease=lease,
            sleeper=opened.listener.awake(),
            is_notified=opened.listener.take_notice(),
        )

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await self._opened().listener.wait_for_work(queues, timeout)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        opened = self._opened()
        answer = await settling.settle(opened.server, settlements)
        opened.leasing.note_deaths(answer.died)
        opened.doorbell.tell(answer.ended)
        opened.doorbell.ring_numbers(answer.wakes)
        return answer.settled

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        return await self._opened().leasing.extend(owner, leases, lease=lease)

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        return await inspection.count(self._opened().server, queue, bound)

    def news(self) -> Sequence[News]:
        return [] if self._open is None else self._open.leasing.take_news()

    # Results and progress.

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        return await inspection.results(self._opened().server, ids)

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        return await inspection.known(self._opened().server, ids)

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        for message_id in ids:
            check_id(message_id)
        await self._opened().listener.wait_for_results(ids, timeout)

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        await settling.set_progress(self._opened().server, updates)

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        opened = self._opened()
        found = await inspection.progress(opened.server, ids)
        return await brokered.with_noted(opened, ids, found)

    # Cancel and pause.

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        opened = self._opened()
        if not ids:
            return []
        [(answers, heard)] = await opened.server.rows(
            "cancel", *settling.cancel_parameters(self._context, ids)
        )
        if heard:
            opened.doorbell.tell(ids)
        return settling.cancel_answers(ids, answers)

    async def cancel_requests(self, owner: str) -> list[Lease]:
        rows = await self._opened().server.rows("cancel_requests", self.settings.namespace, owner)
        return [Lease(message_id, token) for message_id, token in rows]

    async def pause(self, queue: str) -> None:
        await self._pause(queue, pauses=True)

    async def resume(self, queue: str) -> None:
        await self._pause(queue, pauses=False)
        self._opened().doorbell.ring([queue])

    async def _pause(self, queue: str, *, pauses: bool) -> None:
        await self._opened().server.rows(
            "pause", self.settings.namespace, queue, pauses, self._context.shift
        )

    async def paused(self) -> frozenset[str]:
        return frozenset(await self._opened().server.value("paused", self.settings.namespace))

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
        why = None if reason is None else reason.value
        listing = Listing("dead", queue, task, reason=why, error=error)
        server = self._opened().server
        return await read_page(server, listing, limit=limit, cursor=cursor, make=dead_letter)

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        opened = self._opened()
        answers, queues = await letters.requeue(opened.server, ids)
        opened.doorbell.ring(queues)
        return answers

    async def requeue_edited(self, message: Message) -> bool:
        check_id(message.id)
        check_numbers(message)
        opened = self._opened()
        is_done = await letters.requeue_edited(opened.server, message)
        if is_done:
            opened.doorbell.ring([message.queue])
        return is_done

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        opened = self._opened()
        answers, queues = await editing.edit(opened.server, ids, changes)
        if queues:
            opened.doorbell.ring(sorted(queues))
        return answers

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return await letters.delete(self._opened().server, ids)

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        return await inspection.queues(self._opened().server, bound)

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        return await inspection.find(self._opened().server, ids)

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await match_ids(self._opened().server, part, limit=limit, cursor=cursor)

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
        server = self._opened().server
        kind = LISTINGS.get(state)
        if kind is None or (owner is not None and state is not State.RUNNING):
            return Page([])
        listing = Listing(kind, queue, task, owner, since, until)
        return await read_page(server, listing, limit=limit, cursor=cursor, make=snapshot)

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        return await letters.purge(self._opened().server, queue, states)

    # Workers and schema.

    async def store_version(self) -> str:
        """Return the version of the server."""
        [[version]] = await self._opened().server.execute("SHOW server_version")
        return f"PostgreSQL {version}"

    async def schema(self) -> SchemaState:
        """Return the versions. Works on a driver that is not open, too: `open` refuses tables that are missing."""
        return await look_at_tables(self._context)

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Bring the tables to the needed version. Works on a driver that is not open, too."""
        return await take_steps(self._context, dry_run=dry_run)

    def outbox(self) -> "PostgresOutbox":
        """Return an unopened outbox in the database, which may have no queue in it."""
        from asynctasq_postgres.outbox import PostgresOutbox

        return PostgresOutbox(self.settings, self.clock_offset)

    # Transactions of the application.

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        return transactions.plan_enqueue(self._context, messages)

    def plan_cancel(self, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
        return transactions.plan_cancel(self._context, ids)

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        return transactions.plan_complete(self._context, settlement)

    def plan_states(self, ids: Sequence[bytes]) -> Plan[list[State | None]]:
        return transactions.plan_states(self._context, ids)

    async def committed(self, queues: Sequence[str]) -> None:
        self._opened().doorbell.ring(queues)
