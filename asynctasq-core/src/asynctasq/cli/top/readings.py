"""Reading a store for the live view, with few calls whose cost is bounded."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from asynctasq.cli.times import last_minutes
from asynctasq.contracts.capabilities import (
    Capability,
    QueueInfo,
    Snapshot,
    SupportsInspect,
    WorkerInfo,
)
from asynctasq.errors import CapabilityMissing, DriverError
from asynctasq.message import State
from asynctasq.operations.hints import LATE_SECONDS, list_workers
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.app import App
    from asynctasq.contracts.driver import Driver

COUNTED = 10_000
"""Messages of a queue that are counted in each state, at most."""
RUNNING_PAGES = 3
RUNNING_AT_ONCE = 100
RATE_SECONDS = 120.0
"""Time over which rates are counted, at least."""
RATES_EVERY_SECONDS = 10.0
"""Workers report their counts as often."""
GROWTH_SECONDS = 60.0


@record
class QueueLine:
    """A queue with its rates per minute; None where they are not known."""

    queue: QueueInfo
    workers: int | None
    arriving: float | None
    leaving: float | None


@record
class Reading:
    """A store at one moment. None stands for what the driver cannot tell."""

    at: float
    queues: Sequence[QueueLine]
    workers: Sequence[WorkerInfo] | None
    running: Sequence[Snapshot] | None
    """The longest runs first, among those that were read."""
    is_partial: bool = False
    """True if more tasks run than were read."""


def is_late(worker: WorkerInfo, now: float) -> bool:
    """Return whether the last heartbeat of a worker is old."""
    return now - worker.seen_at > LATE_SECONDS


class Reader:
    """Reads a store again and again, and computes rates.

    Args:
        app: the app of the store.
        queues: the queues that are counted if the driver cannot list its queues.
    """

    def __init__(self, app: "App", queues: Sequence[str]) -> None:
        self._app = app
        self._queues = queues
        self._leaving: Mapping[str, float] | None = None
        self._rates_read_at = -RATES_EVERY_SECONDS
        self._growth = Growth()

    async def read(self) -> Reading:
        """Read the store. Raises as the driver does."""
        driver = await self._app.driver()
        queues = await self._read_queues(driver)
        workers = await list_workers(driver)
        running, is_partial = await _read_running(driver)
        await self._read_rates()
        self._growth.add(time.monotonic(), {each.name: _backlog(each) for each in queues})
        return Reading(
            at=time.time(),
            queues=[
                QueueLine(
                    each,
                    None if workers is None else len(workers.serving(each.name)),
                    self._arriving(each.name),
                    None if self._leaving is None else self._leaving.get(each.name, 0.0),
                )
                for each in queues
            ],
            workers=None
            if workers is None
            else sorted((*workers.alive, *workers.late), key=lambda each: each.id),
            running=running,
            is_partial=is_partial,
        )

    async def _read_queues(self, driver: "Driver") -> list[QueueInfo]:
        if Capability.INSPECT in driver.capabilities:
            return await self._app.queues.all(bound=COUNTED)
        paused = await self._app.queues.paused() or frozenset()
        found = []
        for name in self._queues:
            counts = await driver.count(name, bound=COUNTED)
            found.append(
                QueueInfo(
                    name,
                    counts.ready or 0,
                    counts.scheduled or 0,
                    counts.blocked or 0,
                    counts.leased or 0,
                    counts.dead or 0,
                    paused=name in paused,
                    oldest_ready_at=None,
                )
            )
        return found

    async def _read_rates(self) -> None:
        now = time.monotonic()
        if now - self._rates_read_at < RATES_EVERY_SECONDS:
            return
        since, until = last_minutes(RATE_SECONDS)
        ended: dict[str, float] = {}
        try:
            for each in await self._app.metrics.tasks(since=since, until=until):
                number = each.completed + each.dead + each.cancelled + each.expired
                ended[each.queue] = ended.get(each.queue, 0.0) + number
        except (CapabilityMissing, DriverError):  # DriverError: its tables are of an older version
            self._leaving = None
        else:
            self._leaving = {name: sum_ * 60 / (until - since) for name, sum_ in ended.items()}
        self._rates_read_at = now

    def _arriving(self, name: str) -> float | None:
        growth = self._growth.per_minute(name)
        if growth is None or self._leaving is None:
            return None
        return max(0.0, growth + self._leaving.get(name, 0.0))


class Growth:
    """The growth of queues over the last minute."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Mapping[str, int | None]]] = deque()

    def add(self, now: float, backlogs: Mapping[str, int | None]) -> None:
        """Add a reading at a time of the monotonic clock."""
        self._readings.append((now, backlogs))
        while now - self._readings[0][0] > GROWTH_SECONDS:
            self._readings.popleft()

    def per_minute(self, name: str) -> float | None:
        """Return the growth of a queue; None if it is not known yet, or if it was not counted to its end."""
        (first_at, first), (last_at, last) = self._readings[0], self._readings[-1]
        before, after = first.get(name, 0), last.get(name, 0)
        if last_at <= first_at or before is None or after is None:
            return None
        return (after - before) * 60 / (last_at - first_at)


def _backlog(queue: QueueInfo) -> int | None:
    """Count the messages that have not ended; None if there are more than were counted."""
    numbers = (queue.ready, queue.scheduled, queue.blocked, queue.leased)
    return None if max(numbers) >= COUNTED else sum(numbers)


async def _read_running(driver: "Driver") -> tuple[list[Snapshot] | None, bool]:
    if Capability.INSPECT not in driver.capabilities or not isinstance(driver, SupportsInspect):
        return None, False
    found: list[Snapshot] = []
    cursor: str | None = None
    for _ in range(RUNNING_PAGES):
        page = await driver.browse(State.RUNNING, limit=RUNNING_AT_ONCE, cursor=cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    found.sort(key=lambda each: each.leased_at or each.enqueued_at)
    return found, cursor is not None
