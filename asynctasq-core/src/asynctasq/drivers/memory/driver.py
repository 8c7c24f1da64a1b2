"""The memory driver: the store, seen through the driver contract."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Self

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
    Snapshot,
)
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.contracts.driver import (
    DRIVER_API_VERSION,
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.driverkit.changes import check_changes
from asynctasq.drivers.memory import views
from asynctasq.drivers.memory.brokered import StateStore
from asynctasq.drivers.memory.event_calls import EventCalls
from asynctasq.drivers.memory.listing import Position
from asynctasq.drivers.memory.metric_calls import MetricCalls
from asynctasq.drivers.memory.schedule_calls import ScheduleCalls
from asynctasq.drivers.memory.settings import MemorySettings
from asynctasq.drivers.memory.worker_calls import WorkerCalls
from asynctasq.errors import DriverError
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import LeaseState, Reason, Settled, Settlement

SHORTEST_SLEEP = 0.001
"""Shortest wait, in seconds. Some event loops round timers to milliseconds, and would spin on a shorter one."""


class MemoryDriver(ScheduleCalls, MetricCalls, WorkerCalls, EventCalls, DriverDefaults):
    """Messages in this process: for tests, for work that may be lost, and as the reference for other drivers.

    An instance and its clones share one store, on any thread and event loop. Two instances that were
    created separately share nothing, even in the same namespace. Messages do not survive the process,
    other processes do not see them, and a forked child starts with an empty store.
    """

    api_version = DRIVER_API_VERSION
    capabilities = (
        FULL_STORE
        | Capability.NEWS
        | Capability.STATE
        | Capability.SCHEDULES
        | Capability.METRICS
        | Capability.WORKER_REQUESTS
        | Capability.MOVE
        | Capability.EVENTS
    )
    store_class = StateStore
    """The class of the store. Tests that break one rule replace it."""

    def __init__(
        self,
        *,
        namespace: str = "asynctasq",
        dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS,
        dead_letter_limit: int = DEAD_LETTER_LIMIT,
        outcome_limit: int = 1_000_000,
    ) -> None:
        settings = MemorySettings(namespace, dead_letter_ttl, dead_letter_limit, outcome_limit)
        self.description = f"memory of this process ({namespace})"
        self._store = self.store_class(settings)
        self._open = False

    @property
    def clock_offset(self) -> float:
        """Seconds added to the clock, for all clones at once."""
        return self._store.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        with self._store.lock:
            self._store.clock_offset = seconds
            self._store.waiting_for_work.wake_all()

    def clone(self) -> Self:
        clone = type(self).__new__(type(self))
        clone.description = self.description
        clone._store = self._store
        clone._open = False
        return clone

    async def open(self) -> None:
        self._store.begin_in_this_process()
        self._open = True

    async def close(self) -> None:
        self._open = False
        store = self._store
        with store.lock:
            store.waiting_for_work.wake_all()
            store.waiting_for_results.wake_all()
            store.waiting_for_events.wake_all()

    def inspect(self) -> StateStore:
        """Return the inner state of the store, for tests."""
        return self._store

    def _opened(self) -> StateStore:
        if not self._open:
            raise DriverError("This memory driver is not open. Await its `open()` first.")
        return self._store

    # Required.

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        store = self._opened()
        with store.lock:
            return store.enqueue(messages)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        store = self._opened()
        with store.lock:
            return store.reserve(queues, limit=limit, owner=owner, lease=lease)

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        store = self._opened()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self._open:
            with store.lock:
                now = store.now()
                if store.has_work(queues, now):
                    return
                until_event = store.next_event(now) - now
                left = end - loop.time()
                if until_event <= 0.0 or left <= 0.0:
                    return
                waiter = store.waiting_for_work.add(queues)
            try:
                await waiter.sleep(max(min(until_event, left), SHORTEST_SLEEP))
            finally:
                with store.lock:
                    store.waiting_for_work.discard(waiter)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        store = self._opened()
        with store.lock:
            return store.settle(settlements)

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        store = self._opened()
        with store.lock:
            return store.extend(owner, leases, lease=lease)

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        store = self._opened()
        with store.lock:
            return views.count(store, queue, bound=bound)

    # Results and progress.

    async def results(self, ids: Sequence[bytes]) -> list[Outcome | None]:
        store = self._opened()
        with store.lock:
            return views.results(store, ids)

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return views.known(store, ids)

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        store = self._opened()
        with store.lock:
            if any(views.results(store, ids)):
                return
            waiter = store.waiting_for_results.add(ids)
        try:
            await waiter.sleep(timeout)
        finally:
            with store.lock:
                store.waiting_for_results.discard(waiter)

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        store = self._opened()
        with store.lock:
            store.set_progress(updates)

    async def progress(self, ids: Sequence[bytes]) -> list[bytes | None]:
        store = self._opened()
        with store.lock:
            return views.progress(store, ids)

    # Cancel and pause.

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        store = self._opened()
        with store.lock:
            return store.cancel(ids)

    async def cancel_requests(self, owner: str) -> list[Lease]:
        store = self._opened()
        with store.lock:
            return store.cancel_requests(owner)

    async def pause(self, queue: str) -> None:
        store = self._opened()
        with store.lock:
            store.pause(queue)

    async def resume(self, queue: str) -> None:
        store = self._opened()
        with store.lock:
            store.resume(queue)

    async def paused(self) -> frozenset[str]:
        store = self._opened()
        with store.lock:
            return frozenset(store.paused)

    async def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        check_changes(changes)
        store = self._opened()
        with store.lock:
            return store.edit(ids, changes)

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
        store = self._opened()
        with store.lock:
            return views.dead_letters(
                store,
                queue=queue,
                task=task,
                reason=reason,
                error=error,
                limit=limit,
                cursor=cursor,
            )

    async def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.requeue(ids)

    async def requeue_edited(self, message: Message) -> bool:
        store = self._opened()
        with store.lock:
            return store.requeue_edited(message)

    async def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.delete_dead(ids)

    async def queues(self, *, bound: int | None = None) -> list[QueueInfo]:
        store = self._opened()
        with store.lock:
            return views.queues(store, bound=bound)

    async def find(self, ids: Sequence[bytes]) -> list[Snapshot | None]:
        store = self._opened()
        with store.lock:
            return views.find(store, ids)

    async def match_ids(
        self, part: str, *, limit: int = 10, cursor: str | None = None
    ) -> Page[bytes]:
        store = self._opened()
        with store.lock:
            return views.match_ids(store, part, limit=limit, cursor=cursor)

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
        store = self._opened()
        with store.lock:
            return views.browse(
                store,
                state,
                queue=queue,
                task=task,
                owner=owner,
                since=since,
                until=until,
                limit=limit,
                cursor=cursor,
            )

    async def purge(self, queue: str, *, states: Collection[State]) -> int:
        store = self._opened()
        deleted = 0
        after: Position | None = (0, 0)
        while after is not None:
            with store.lock:
                count, after = store.purge(queue, states, after)
            deleted += count
            await asyncio.sleep(0)  # other calls run between two pieces
        return deleted

    # News.

    def news(self) -> list[News]:
        store = self._store
        if not store.news:
            return []
        with store.lock:
            news = list(store.news)
            store.news.clear()
        return news

    # State of messages that a broker holds.

    async def finish(self, ends: Sequence[Ended]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.finish(ends)

    async def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        store = self._opened()
        with store.lock:
            return store.flag(ids, ttl=ttl)

    async def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        store = self._opened()
        with store.lock:
            return store.marks(ids)

    async def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        store = self._opened()
        with store.lock:
            return store.adopt(records)

    async def note(self, notes: Sequence[Note]) -> None:
        store = self._opened()
        with store.lock:
            store.note(notes)
