"""The schedules of a worker: it declares those of its code, and fires all that are due in the store.

This is periodic work of the lease renewer, on its own thread and loop. A task that blocks the event loop of the
worker delays no schedule. There is no leader: each worker claims what is due, and the store lets each time fire once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from time import monotonic

from asynctasq.contracts.capabilities.schedules import (
    ORPHANED_AFTER,
    SCHEDULES_AT_ONCE,
    Claim,
    Firing,
    Schedule,
    ScheduleChange,
    SupportsSchedules,
)
from asynctasq.contracts.driver import BYTES_AT_ONCE, Driver
from asynctasq.dispatch.schedule_notices import ScheduleNotices
from asynctasq.dispatch.scheduling import (
    NewerDefinition,
    ScheduleDefinition,
    definition_of,
    schedules_of,
)
from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable
from asynctasq.records import record
from asynctasq.schedules.catch_up import RUNS_AT_ONCE, runs_due
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.timing import ScheduleTiming

logger = logging.getLogger("asynctasq")

MESSAGE_BYTES = 500
"""Bytes of a message beside its body, roughly."""


@record
class DeclaredSchedule:
    """A schedule that the code of a task declares."""

    name: str
    module: str
    definition: ScheduleDefinition


class FireSchedules:
    """Declares the schedules of the registered tasks, fires what is due, and reports orphans."""

    def __init__(
        self,
        declared: Sequence[DeclaredSchedule],
        notices: ScheduleNotices,
        *,
        wake: Callable[[], None],
        events: WorkerEvents,
        timing: ScheduleTiming,
    ) -> None:
        """Prepare the work; nothing is called.

        Args:
            declared: schedules of the tasks of this worker.
            notices: tell when the application in this process changes a schedule.
            wake: makes the lease renewer do its periodic work at once; any thread may call it.
            events: publish what was fired.
            timing: durations.
        """
        self._events = events
        self._declared = {each.name: each for each in declared}
        self._notices = notices
        self._wake = wake
        self._timing = timing
        self._due_at = 0.0
        self._declare_at = 0.0
        self._is_declared = False
        self._changed = False
        self._reported: set[tuple[str, int]] = set()
        """Names and revisions of schedules whose problems were logged."""
        self._timer: asyncio.TimerHandle | None = None
        self._waking = ExitStack()

    async def run(self, driver: Driver) -> None:
        """Fire what is due, and declare the schedules of this worker again once in a while."""
        if monotonic() < self._due_at and not self._changed:
            return
        self._changed = False
        store = schedules_of(driver)
        if monotonic() >= self._declare_at:
            await self._declare(store)
        self._sleep(await self._fire_due(store))

    async def finish(self, driver: Driver) -> None:  # noqa: ARG002  the signature of periodic work
        """Stop waking the lease renewer."""
        self._waking.close()
        if self._timer is not None:
            self._timer.cancel()

    def _sleep(self, seconds: float) -> None:
        self._due_at = monotonic() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _note_change(self) -> None:
        self._changed = True
        self._wake()

    # Firing.

    async def _fire_due(self, store: SupportsSchedules) -> float:
        """Fire what is due; return the seconds until the next look."""
        end = monotonic() + self._timing.turn
        while True:
            asked_at = monotonic()
            claim = await store.claim_schedules(limit=SCHEDULES_AT_ONCE, hold=self._timing.hold)
            for part in _parts(self._firings(claim)):
                await self._fire(store, part)
            wait = self._timing.idle if claim.next_at is None else claim.next_at - claim.now
            if wait > 0.0:
                return max(min(wait, self._timing.idle) - (monotonic() - asked_at), 0.0)
            if monotonic() > end:
                return 0.0  # leases are renewed first

    def _firings(self, claim: Claim) -> Iterator[Firing]:
        for schedule in claim.schedules:
            try:
                definition = definition_of(schedule)
                yield _firing(schedule, definition, claim.now)
            except NewerDefinition as error:
                logger.debug("Left a schedule to workers of a newer release: %s", error)
            except (BodyCorrupt, ValueError, KeyError) as error:
                self._report(schedule.id, schedule.revision, error)

    async def _fire(self, store: SupportsSchedules, firings: Sequence[Firing]) -> None:
        """Fire schedules together, or one by one if the store refuses them."""
        try:
            answers = await store.fire(firings)
        except DriverUnavailable:
            raise
        except DriverError as error:
            if len(firings) == 1:
                self._report(firings[0].id, firings[0].revision, error)
                return
            for firing in firings:
                await self._fire(store, [firing])
        else:
            if self._events.active:
                self._events.fired(
                    [each for each, done in zip(firings, answers, strict=True) if done]
                )
            logger.debug("Fired %d of %d claimed schedules", sum(answers), len(firings))

    def _report(self, name: str, revision: int, error: Exception) -> None:
        """Log a problem of a schedule, once for each definition."""
        if (name, revision) not in self._reported:
            self._reported.add((name, revision))
            logger.error("Could not fire schedule %r: %s", name, error, extra={"schedule": name})

    # Declarations.

    async def _declare(self, store: SupportsSchedules) -> None:
        names = list(self._declared)
        now = (await store.claim_schedules(limit=0, hold=0.0)).now
        for begin in range(0, len(names), SCHEDULES_AT_ONCE):
            part = names[begin : begin + SCHEDULES_AT_ONCE]
            if self._is_declared:  # one that was removed stays removed until a worker starts
                await store.change_schedules(part, ScheduleChange.SEEN)
            else:
                chosen = [self._declared[name] for name in part]
                await store.put_schedules(
                    [each.definition.schedule(each.name, now, each.module) for each in chosen]
                )
        if not self._is_declared:
            self._waking.enter_context(self._notices.waking(self._note_change))
        self._is_declared = True
        await self._note_orphans(store, now)
        self._declare_at = monotonic() + self._timing.declare

    async def _note_orphans(self, store: SupportsSchedules, now: float) -> None:
        """Log schedules that no worker declares any more, and stop those that were not seen for a day."""
        cursor = None
        while True:
            page = await store.schedules(limit=SCHEDULES_AT_ONCE, cursor=cursor)
            unseen = [each for each in page.items if self._is_unseen(each, now)]
            for each in unseen:
                self._report(each.id, -1, _Orphaned(each))
            ended = [each.id for each in unseen if each.seen_at <= now - ORPHANED_AFTER]
            if ended:
                answers = await store.change_schedules(ended, ScheduleChange.ORPHAN)
                for name, is_orphaned in zip(ended, answers, strict=True):
                    if is_orphaned:
                        logger.warning(
                            "Stopped schedule %r: no worker has declared it for a day",
                            name,
                            extra={"schedule": name},
                        )
            cursor = page.cursor
            if cursor is None:
                return

    def _is_unseen(self, schedule: Schedule, now: float) -> bool:
        return (
            schedule.declared_by is not None
            and schedule.id not in self._declared
            and not schedule.orphaned
            and schedule.next_at is not None
            and schedule.seen_at <= now - 2 * self._timing.declare
        )


class _Orphaned(Exception):
    """No worker declares a schedule any more."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(
            f"no running worker declares it (it was declared in {schedule.declared_by}). It stops a day after it "
            f"was last declared. Remove it with `asynctasq schedules remove`"
        )


def _firing(schedule: Schedule, definition: ScheduleDefinition, now: float) -> Firing:
    """Return the firing of a claimed schedule."""
    planned = now if schedule.next_at is None else schedule.next_at
    size = len(definition.template.body) + MESSAGE_BYTES
    most = max(min(RUNS_AT_ONCE, BYTES_AT_ONCE // size), 1)
    due = runs_due(definition.rhythm, definition.policies, planned=planned, now=now, most=most)
    messages = definition.messages(schedule.id, due.times)
    return Firing(schedule.id, schedule.revision, planned, due.next_at, messages)


def _parts(firings: Iterator[Firing]) -> Iterator[list[Firing]]:
    """Yield firings in parts whose messages have about `BYTES_AT_ONCE`."""
    part: list[Firing] = []
    room = BYTES_AT_ONCE
    for firing in firings:
        part.append(firing)
        room -= sum(len(each.body) + MESSAGE_BYTES for each in firing.messages)
        if room <= 0:
            yield part
            part, room = [], BYTES_AT_ONCE
    if part:
        yield part
