"""`App.events`: what happens to tasks, live."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

from asynctasq.backoff import Backoff
from asynctasq.contracts.capabilities import Capability, require
from asynctasq.contracts.capabilities.events import (
    LISTENING_SECONDS,
    LONGEST_HOLD,
    EventPage,
    SupportsEvents,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import AsynctasqError, DriverUnavailable
from asynctasq.events import EventKind, Fact, FactBatch, unpack_batch
from asynctasq.message import id_to_text
from asynctasq.operations.event_order import Placed, Reordering, unpack_place
from asynctasq.records import record
from asynctasq.serializers.codec import Codec

logger = logging.getLogger("asynctasq")

ORDERING_SECONDS = 0.3
"""Time for which a batch is held. The earlier events of its tasks may be on their way from other processes."""
WAIT_SECONDS = 5.0
"""Longest single wait for events."""
RENEW_SECONDS = 10.0
"""A listener that is busy with its events reports that it still listens after so long."""
BATCHES_AT_ONCE = 100
BACKOFF = Backoff(first=0.1, longest=5.0)
"""Pauses between calls to a store that is unavailable."""

_WITHOUT_TASK = frozenset({EventKind.WORKER_STARTED, EventKind.WORKER_STOPPED})


@record
class Event:
    """Something that happened to a task, a worker or a schedule. Fields that do not apply are None."""

    kind: EventKind
    """Compares equal to its text, such as `"completed"`."""
    at: float
    """Seconds since the Unix epoch, by the clock of the process that reported it."""
    cursor: str
    """The place after this event. `app.events(after=event.cursor)` continues there."""
    task_id: str | None = None
    task: str | None = None
    """Name of the task."""
    queue: str | None = None
    attempt: int | None = None
    """Number of the run, from 1."""
    worker: str | None = None
    """ID of the worker."""
    seconds: float | None = None
    """Duration of the run, if it has ended."""
    error: str | None = None
    """Type and message of the exception."""
    reason: str | None = None
    """Why the task is dead, as in `Reason`."""
    progress: object = None
    """The value of a progress report. References take the place of models."""
    schedule: str | None = None
    """Name of the schedule that fired, or that enqueued the task."""
    missed: int | None = None
    """Of a gap: number of events that are missing; None if it is unknown."""


class EventStream:
    """An asynchronous iterator over events, which `App.events` returns.

    Listening begins with the first event that you await, or with `start`, which `async with` awaits.
    """

    def __init__(
        self,
        driver: Callable[[], Awaitable[Driver]],
        codec: Codec,
        *,
        kinds: Collection[str] | None,
        task: str | None,
        queue: str | None,
        after: str | None,
        hold: float,
    ) -> None:
        """Check the arguments, which are those of `App.events`."""
        known = {kind.value for kind in EventKind}
        unknown = [kind for kind in kinds or () if kind not in known]
        if isinstance(kinds, str) or unknown:
            raise ValueError(
                f"kinds must be a set of {', '.join(sorted(known))}, got {kinds if isinstance(kinds, str) else unknown[0]!r}."
            )
        if not LISTENING_SECONDS <= hold <= LONGEST_HOLD:
            raise ValueError(
                f"hold must be between {LISTENING_SECONDS:g} and {LONGEST_HOLD:g} seconds, got {hold!r}."
            )
        self._driver = driver
        self._codec = codec
        self._kinds = None if kinds is None else {EventKind(kind) for kind in kinds}
        self._task = task
        self._queue = queue
        self._hold = hold
        self._store: SupportsEvents | None = None
        self._position: str | None = None
        """In the store, of the next batch to read."""
        self._passed = 0
        if after is not None:
            self._position, self._passed = unpack_place(after)
        self._order = Reordering()
        self._ready: deque[Event] = deque()
        self._place = after
        self._called_at = 0.0
        self._failures = 0

    @property
    def cursor(self) -> str | None:
        """The place of the stream: after the last event that it returned. None before it has started."""
        return self._place

    async def start(self) -> None:
        """Begin to listen. Events that happen more than two seconds after the return are not missed.

        Raises:
            CapabilityMissing: the driver has no events.
            DriverError: the store refused, or could not be reached.
        """
        if self._store is not None:
            return
        driver = await self._driver()
        store = require(driver, Capability.EVENTS, SupportsEvents, purpose="Listening to events")
        page = await store.events(self._position, limit=0, timeout=0.0, hold=self._hold)
        self._called_at = time.monotonic()
        if self._position is None:
            self._position = self._place = page.cursor
        self._order.begin(self._position, self._passed)
        self._store = store

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drop the events that were read ahead. The store forgets the listener after its `hold`."""
        self._ready.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event, and wait for it.

        While the store is unavailable, the call waits for it. Events that were missed are reported as a gap.

        Raises:
            CapabilityMissing: the driver has no events.
            DriverError: the store refused, or could not be reached at the start.
        """
        await self.start()
        while True:
            if self._ready:
                if time.monotonic() >= self._called_at + RENEW_SECONDS:
                    await self._call(limit=0, timeout=0.0)
                event = self._ready.popleft()
                self._place = event.cursor
                return event
            self._release()
            if not self._ready:
                await self._read()

    def _release(self) -> None:
        """Pass events on that were held for long enough."""
        first_at = self._order.first_at
        if first_at is not None and time.monotonic() >= first_at + ORDERING_SECONDS:
            for placed in self._order.release():
                self._place = placed.cursor
                if self._is_wanted(placed.fact):
                    self._ready.append(self._event(placed))

    async def _read(self) -> None:
        first_at = self._order.first_at
        now = time.monotonic()
        wait = WAIT_SECONDS if first_at is None else max(first_at + ORDERING_SECONDS - now, 0.0)
        page = await self._call(limit=BATCHES_AT_ONCE, timeout=wait)
        if page is None:
            return
        now = time.monotonic()
        if page.gap:
            self._order.add([_gap()], after=None if page.batches else page.cursor, at=now)
        for batch in page.batches:
            self._order.add(_facts(unpack_batch(batch.data)), after=batch.cursor, at=now)
        self._position = page.cursor

    async def _call(self, *, limit: int, timeout: float) -> EventPage | None:
        """Call the store; None after a pause if it is unavailable."""
        assert self._store is not None
        try:
            page = await self._store.events(
                self._position, limit=limit, timeout=timeout, hold=self._hold
            )
        except DriverUnavailable as error:
            self._failures += 1
            if self._failures == 1:
                logger.warning("Lost the store of the events; trying again: %s", error)
            await asyncio.sleep(BACKOFF.pause(self._failures))
            return None
        if self._failures:
            logger.info("Reached the store of the events again")
        self._failures = 0
        self._called_at = time.monotonic()
        return page

    # Facts as events.

    def _is_wanted(self, fact: Fact) -> bool:
        if fact.kind is EventKind.GAP:
            return True
        if self._kinds is not None and fact.kind not in self._kinds:
            return False
        if fact.kind in _WITHOUT_TASK:
            return self._task is None and self._queue is None
        if self._queue is not None and fact.queue != self._queue:
            return False
        return self._task is None or (fact.task is not None and fnmatchcase(fact.task, self._task))

    def _event(self, placed: Placed) -> Event:
        fact = placed.fact
        is_gap = fact.kind is EventKind.GAP
        return Event(
            fact.kind,
            fact.at,
            placed.cursor,
            None if fact.id is None else id_to_text(fact.id),
            fact.task,
            fact.queue,
            None if is_gap else fact.attempt,
            fact.worker,
            fact.seconds,
            fact.error,
            fact.reason,
            self._progress(fact.value),
            fact.schedule,
            fact.attempt if is_gap else None,
        )

    def _progress(self, value: bytes | None) -> object:
        if value is None:
            return None
        try:
            return self._codec.decode_result(value)
        except AsynctasqError as error:
            logger.debug("Could not read a progress report: %s", error)
            return None


def _gap(missed: int | None = None) -> Fact:
    """Return a gap, which keeps the number of missing events in the place of the attempt."""
    return Fact(EventKind.GAP, time.time(), attempt=missed)


def _facts(batch: FactBatch | None) -> list[Fact]:
    """Return the facts of a batch, after a gap if its publisher has dropped some before them."""
    if batch is None:  # damaged, or written by a newer release
        return [_gap()]
    return [_gap(batch.dropped), *batch.facts] if batch.dropped else [*batch.facts]
