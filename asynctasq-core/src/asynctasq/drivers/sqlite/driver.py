"""The sqlite driver: the driver contract on operations that run in a thread."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from asynctasq.contracts.capabilities import (
    DEAD_LETTER_LIMIT,
    DEAD_LETTER_TTL_SECONDS,
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
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import (
    DRIVER_API_VERSION,
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.driverkit.changes import check_changes
from asynctasq.driverkit.id_walks import IdWalk
from asynctasq.driverkit.marks import check_adopted, check_ends, check_notes
from asynctasq.driverkit.numbers import check_lease
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.strays import StraySearch
from asynctasq.drivers.sqlite import brokered, inspection, leasing, settling
from asynctasq.drivers.sqlite import dead_letters as letters
from asynctasq.drivers.sqlite.codec import VALUE_LIMIT
from asynctasq.drivers.sqlite.database import LIBRARY_VERSION, inspect_file, migrate, schema_state
from asynctasq.drivers.sqlite.editing import Edit
from asynctasq.drivers.sqlite.engine import Engine
from asynctasq.drivers.sqlite.enqueueing import Enqueue, admit_all
from asynctasq.drivers.sqlite.event_calls import EventCalls
from asynctasq.drivers.sqlite.id_search import MatchIds
from asynctasq.drivers.sqlite.metric_calls import MetricCalls
from asynctasq.drivers.sqlite.plans import plan_of, states_of, time_now
from asynctasq.drivers.sqlite.requests import Operation
from asynctasq.drivers.sqlite.schedule_calls import ScheduleCalls
from asynctasq.drivers.sqlite.settings import SqliteSettings, Synchronous
from asynctasq.drivers.sqlite.watching import Watcher
from asynctasq.drivers.sqlite.worker_calls import WorkerCalls
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import Complete, LeaseState, Reason, Settled, Settlement

if TYPE_CHECKING:
    from asynctasq.drivers.sqlite.outbox import SqliteOutbox

T = TypeVar("T")

MANY = 200
"""Number of messages that SQLite writes in about a millisecond."""


class SqliteDriver(ScheduleCalls, MetricCalls, WorkerCalls, EventCalls, DriverDefaults):
    """Messages in one file of this machine, shared by any number of processes.

    Accepted messages survive the crash of every process and, with `synchronous='full'` (the default), a power
    failure. The arguments are those of `SqliteSettings`.
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
        | Capability.METRICS
        | Capability.WORKER_REQUESTS
        | Capability.MOVE
        | Capability.EVENTS
    )
    dialect = "sqlite"
    plans_when_open = False
    max_message_bytes: int | None = VALUE_LIMIT

    def __init__(
        self,
        path: str | os.PathLike[str] = "asynctasq.db",
        *,
        namespace: str = "asynctasq",
        synchronous: Synchronous = "full",
        busy_timeout: float = 10.0,
        dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS,
        dead_letter_limit: int = DEAD_LETTER_LIMIT,
        poll_interval: float = 0.03,
    ) -> None:
        self._configure(
            SqliteSettings(
                path=os.fspath(path),
                namespace=namespace,
                synchronous=synchronous,
                busy_timeout=busy_timeout,
                dead_letter_ttl=dead_letter_ttl,
                dead_letter_limit=dead_letter_limit,
                poll_interval=poll_interval,
            )
        )

    @classmethod
    def from_settings(cls, settings: SqliteSettings) -> Self:
        """Return an unopened driver."""
        driver = cls.__new__(cls)
        driver._configure(settings)
        return driver

    def _configure(self, settings: SqliteSettings) -> None:
        self.settings = settings
        self.description = settings.path
        self._name = f"The sqlite driver of {settings.path}"
        self._clock_offset = 0.0
        self._engine: Engine | None = None

    @property
    def clock_offset(self) -> float:
        """Seconds added to the machine's clock, in this instance alone."""
        return self._clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self._clock_offset = seconds
        if self._engine is not None:
            self._engine.clock_offset = seconds
            self._engine.look_again()

    def clone(self) -> Self:
        clone = self.from_settings(self.settings)
        clone._clock_offset = self._clock_offset
        return clone

    async def open(self) -> None:
        if self._engine is not None and self._engine.process == os.getpid():
            return
        engine = Engine(self.settings, self._clock_offset)
        await engine.start()
        self._engine = engine

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()

    def _opened(self) -> Engine:
        engine = self._engine
        is_open = engine is not None and not engine.closed
        return check_open(
            self._name, engine if is_open else None, 0 if engine is None else engine.process
        )

    async def _write(self, operation: Operation[T]) -> T:
        return await self._opened().call(operation, writes=True)

    async def _write_unsynced(self, operation: Operation[T]) -> T:
        """Write something about processes, none of which survives a power failure, without syncing it.

        If a power failure undoes a lease, the message is ready again, as it is when a lease ends. Syncing
        takes most of the time of a small transaction.
        """
        return await self._opened().call(operation, writes=True, durable=False)

    async def _read(self, operation: Operation[T]) -> T:
        return await self._opened().call(operation, writes=False)

    async def _read_all(
        self, step: Callable[[Sequence[bytes]], Operation[list[T]]], ids: Sequence[bytes]
    ) -> list[T]:
        """Read the answers to IDs, in as many steps as their bytes need."""
        answers: list[T] = []
        while len(answers) < len(ids):
            answers += await self._read(step(ids[len(answers) :]))
        return answers

    # Required.

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        operation = Enqueue(messages)
        return await self._opened().call(
            operation, writes=True, single=operation.is_single, long=len(messages) >= MANY
        )

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        return await self._write_unsynced(leasing.Reserve(queues, limit, owner, lease))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        await self._opened().watch(Watcher(queues=queues), timeout)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self._write(settling.Settle(settlements))

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        check_lease(lease)
        search = StraySearch(lease)
        return await self._write_unsynced(leasing.Extend(owner, leases, lease, search))

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        return await self._read(inspection.Count(queue, bound))

    def news(self) -> Sequence[News]:
        return [] if self._engine is None else self._engine.take_news()

    # Results and progress.

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        return await self._read_all(inspection.Results, ids)

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._read(inspection.Known(ids))

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        await self._opened().watch(Watcher(ids=ids), timeout)

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        await self._write_unsynced(settling.SetProgress(updates))

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        return await self._read(inspection.Progress(ids))

    # Cancel and pause.

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        return await self._write(settling.Cancel(ids))

    async def cancel_requests(self, owner: str) -> list[Lease]:
        return await self._read(leasing.CancelRequests(owner))

    async def pause(self, queue: str) -> None:
        await self._write(inspection.SetPaused(queue, True))

    async def resume(self, queue: str) -> None:
        await self._write(inspection.SetPaused(queue, False))

    async def paused(self) -> frozenset[str]:
        return await self._read(inspection.Paused())

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
        return await self._read(letters.DeadLetters(queue, task, reason, error, limit, cursor))

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._write(letters.Requeue(ids))

    async def requeue_edited(self, message: Message) -> bool:
        return await self._write(letters.RequeueEdited(message))

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return await self._write(letters.DeleteDead(ids))

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        return await self._read(inspection.Queues(bound))

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        return await self._read_all(inspection.Find, ids)

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        return await self._read(MatchIds(IdWalk.begin(part, limit=limit, cursor=cursor)))

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
        return await self._read(
            inspection.Browse(state, queue, task, owner, since, until, limit, cursor)
        )

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        check_changes(changes)
        return await self._write(Edit(ids, changes))

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        total = 0
        for state in states:
            while purged := await self._write(letters.Purge(queue, state)):
                total += purged
                if purged < letters.PURGE_BOUND:
                    break
        return total

    # Transactions.

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        now = time_now(self._clock_offset)
        return plan_of(self.settings, now, admit_all(messages, now))

    def plan_cancel(self, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
        now = time_now(self._clock_offset)
        return plan_of(self.settings, now, settling.cancel_all(ids, now))

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        now = time_now(self._clock_offset)
        return plan_of(self.settings, now, settling.complete_one(settlement))

    def plan_states(self, ids: Sequence[bytes]) -> Plan[list[State | None]]:
        now = time_now(self._clock_offset)
        return plan_of(self.settings, now, states_of(ids, now), writes=False)

    async def committed(self, queues: Sequence[str]) -> None:
        del queues  # the watchers look at all of theirs
        engine = self._opened()
        engine.look_again()
        engine.wake_peers()

    # State of messages that a broker holds.

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        check_ends(ends)
        brokered.check_sizes(ends)
        return await self._write(brokered.Finish(ends))

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        return await self._write(brokered.Flag(ids, ttl))

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        return await self._read(brokered.Marks(ids))

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        check_adopted(records)
        return await self._write(brokered.Adopt(records))

    async def note(self, notes: Sequence[Note]) -> None:
        check_notes(notes)
        await self._write_unsynced(brokered.TakeNotes(notes))

    # Workers, schema and outbox.

    async def store_version(self) -> str:
        """Return the version of the SQLite library."""
        return f"SQLite {LIBRARY_VERSION}"

    async def schema(self) -> SchemaState:
        """Return the versions. Works on a driver that is not open, too: `open` would migrate the file."""
        if self._engine is None:
            return await asyncio.to_thread(inspect_file, self.settings.path, schema_state)
        return await self._read(lambda session: schema_state(session.connection))

    async def migrate(self, *, dry_run: bool = False) -> Sequence[str]:
        """Bring the tables to the needed version. Works on a driver that is not open, too."""
        path = self.settings.path
        if self._engine is None and not dry_run:
            await self.open()
            try:
                return await self.migrate()
            finally:
                await self.close()
        if self._engine is None and dry_run:
            return await asyncio.to_thread(
                inspect_file, path, lambda connection: migrate(connection, path, dry_run=True)
            )
        return await self._read(lambda session: migrate(session.connection, path, dry_run=dry_run))

    def outbox(self) -> "SqliteOutbox":
        """Return an unopened outbox in the file, which may be the database of an application."""
        from asynctasq.drivers.sqlite.outbox import SqliteOutbox

        return SqliteOutbox(self.settings, self._clock_offset)
