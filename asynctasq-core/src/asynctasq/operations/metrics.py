"""`App.metrics`: rates, run times and waiting times, and the latest outcomes."""

import time
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar

from asynctasq.about import unpack_about
from asynctasq.contracts.capabilities import Capability, Outcome, require
from asynctasq.contracts.capabilities.metrics import MetricRow, SupportsMetrics
from asynctasq.contracts.driver import Driver
from asynctasq.counts import NAMES
from asynctasq.finished import unpack_finished
from asynctasq.message import State
from asynctasq.operations import merging
from asynctasq.operations.filters import driver_pattern, seconds
from asynctasq.operations.merging import Counts, Percentiles, Point, TaskStats
from asynctasq.operations.paging import check_limit
from asynctasq.operations.views import TaskInfo, info_of_outcome

K = TypeVar("K")
HOUR = 3600.0
MOST_POINTS = 100_000
"""Points of a series, at most."""
RECENT_AT_ONCE = 50
FINISHED = (State.COMPLETED, State.CANCELLED, State.DEAD)


class Metrics:
    """Counts of the workers of a store. They report every ten seconds.

    A time is an aware datetime or seconds since the Unix epoch, `task` is a name or a pattern such as `shop:*`.
    Each call raises `CapabilityMissing` if the driver keeps no counts, and `DriverError` if the store refused
    or could not be reached.
    """

    def __init__(self, driver: Callable[[], Awaitable[Driver]]) -> None:
        self._driver = driver

    async def series(
        self,
        name: str,
        *,
        queue: str | None = None,
        task: str | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        step: float = 60.0,
    ) -> list[Point]:
        """Return a count for each span of `step` seconds, also where it is 0.

        Counts are kept by the minute for a day, and by the hour for thirty days. An hour is one row in the
        span in which it begins, so use a step of at least an hour for times more than a day ago.

        Args:
            name: `completed`, `retried`, `dead`, `cancelled`, `released`, `lost` or `expired`.
            queue: only this queue.
            task: only these tasks.
            since: begin of the first span, rounded down to a minute. The default is an hour ago.
            until: end of the last span. The default is now.
            step: seconds of a span, at least 60.

        Raises:
            ValueError: an argument is not valid.
        """
        if name not in NAMES:
            raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}.")
        if not step >= 60.0:
            raise ValueError(f"step must be at least 60 seconds, got {step!r}.")
        first, last = _span(since, until)
        if (last - first) / step > MOST_POINTS:
            raise ValueError(
                f"step must make at most {MOST_POINTS:,} spans, got {step!r}. Use a longer one."
            )
        by_span = await self._sums(
            lambda row: int((row.at - first) // step), (first, last), queue, task
        )
        return merging.points(by_span, name, since=first, until=last, step=step)

    async def percentiles(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> Percentiles:
        """Return the run times and the waiting times of all runs. The arguments are those of `series`.

        A run waits from the time at which it is due until it starts.
        """
        found = await self._sums(lambda _: None, _span(since, until), queue, task)
        return merging.percentiles(found.get(None, {}))

    async def tasks(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> list[TaskStats]:
        """Return counts and times by queue and task. The arguments are those of `series`."""
        span = _span(since, until)
        return merging.stats(await self._sums(lambda row: (row.queue, row.task), span, queue, task))

    async def finished(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        states: Collection[State] = FINISHED,
        slowest: bool = False,
        limit: int = 100,
    ) -> list[TaskInfo]:
        """Return tasks that have finished, the latest first; each has an `about`.

        Each worker keeps the last 100 tasks of each queue, and the 20 slowest ones of the last hour. A store
        keeps those for a day after the worker's last task.

        Args:
            queue: only this queue.
            task: only these tasks.
            states: some of COMPLETED, CANCELLED and DEAD.
            slowest: return those with the longest runs first.
            limit: number of tasks, at least 1.

        Raises:
            ValueError: an argument is not valid.
        """
        check_limit(limit)
        refused = set(states) - set(FINISHED)
        if refused:
            raise ValueError(
                f"states must be among {', '.join(FINISHED)}, got {min(refused)}. Use `app.tasks.page` for "
                f"tasks that wait or run."
            )
        found: dict[str, TaskInfo] = {}
        store = await self._store("Listing finished tasks")
        cursor: str | None = None
        while True:
            page = await store.recent_outcomes(queue=queue, limit=RECENT_AT_ONCE, cursor=cursor)
            for row in page.items:
                for each in unpack_finished(row.data):
                    about = unpack_about(each.about)
                    if (
                        about is not None
                        and each.state in states
                        and (task is None or fnmatchcase(about.task, task))
                    ):
                        outcome = Outcome(each.id, each.state, about.ended_at, about=each.about)
                        info = info_of_outcome(outcome)
                        found[info.id] = info
            cursor = page.cursor
            if cursor is None:
                break
        key = _run_seconds if slowest else _finished_at
        return sorted(found.values(), key=key, reverse=True)[:limit]

    async def _sums(
        self,
        key: Callable[[MetricRow], K],
        span: tuple[float, float],
        queue: str | None,
        task: str | None,
    ) -> dict[K, Counts]:
        """Add up all rows of a span of time by key, page by page."""
        store = await self._store("Reading counts of tasks")
        since, until = span
        found: dict[K, Counts] = {}
        cursor: str | None = None
        while True:
            page = await store.metrics(
                since=since, until=until, queue=queue, task=driver_pattern(task), cursor=cursor
            )
            rows = (row for row in page.items if task is None or fnmatchcase(row.task, task))
            merging.add_rows(found, rows, key)
            cursor = page.cursor
            if cursor is None:
                return found

    async def _store(self, purpose: str) -> SupportsMetrics:
        driver = await self._driver()
        return require(driver, Capability.METRICS, SupportsMetrics, purpose=purpose)


def _span(since: datetime | float | None, until: datetime | float | None) -> tuple[float, float]:
    """Return the begin of the first minute, and the end."""
    last, first = seconds(until), seconds(since)
    if last is None:
        last = time.time()
    if first is None:
        first = last - HOUR
    return first // 60 * 60, last


def _finished_at(info: TaskInfo) -> float:
    return info.finished_at or 0.0


def _run_seconds(info: TaskInfo) -> float:
    return 0.0 if info.about is None else info.about.seconds
