"""Schedules: which are due, which are hidden by a claim, and the step in which one fires."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import (
    ORPHANED_AFTER,
    Claim,
    Firing,
    Schedule,
    ScheduleChange,
)
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.schedules import check_firings, check_schedules, claimable_at
from asynctasq.drivers.memory.order import TimerQueue
from asynctasq.drivers.memory.store import Store

_LISTING = "schedules"


class ScheduleStore(Store):
    """The store, with schedules."""

    def empty(self) -> None:
        super().empty()
        self.all_schedules: dict[str, Schedule] = {}
        self._turns: dict[str, int] = {}
        """Number of the current timer of each schedule; none while it is paused or orphaned."""
        self._timers = TimerQueue[tuple[str, int]](
            lambda _, timer: self._turns.get(timer[0]) == timer[1]
        )

    # Definitions.

    def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        check_schedules(schedules)
        now = self.now()
        return [self._put_schedule(schedule, now) for schedule in schedules]

    def _put_schedule(self, given: Schedule, now: float) -> int:
        old = self.all_schedules.get(given.id)
        if old is None:
            kept = replace(
                given, revision=1, seen_at=now, paused=False, orphaned=False, fired_at=None
            )
            return self._keep_schedule(kept, now).revision
        seen = self._seen(replace(old, declared_by=given.declared_by), now)
        if given.definition == old.definition:
            self._keep_schedule(seen, now)
            return seen.revision
        changed = replace(
            seen,
            definition=given.definition,
            rhythm=given.rhythm,
            next_at=self._next_after_change(old, given),
            revision=old.revision + 1,
        )
        return self._keep_schedule(changed, now).revision

    def _next_after_change(self, old: Schedule, given: Schedule) -> float | None:
        return old.next_at if old.rhythm == given.rhythm else given.next_at

    def _seen(self, schedule: Schedule, now: float) -> Schedule:
        return replace(schedule, seen_at=now, orphaned=False)

    def _keep_schedule(self, schedule: Schedule, now: float) -> Schedule:
        """Store a schedule. A claim of it stays in force unless its time or its pause has changed."""
        old = self.all_schedules.get(schedule.id)
        self.all_schedules[schedule.id] = schedule
        if schedule.paused or schedule.orphaned:
            self._stop_timer(schedule.id)
        elif old is None or _claimed_as(old) != _claimed_as(schedule):
            self._set_timer(schedule.id, claimable_at(schedule.next_at, fired_at=now))
        return schedule

    def _set_timer(self, name: str, at: float) -> None:
        """Let a schedule be claimed from a time on."""
        self._stop_timer(name)
        self._turns[name] = next(self.places)
        self._timers.add(at, (name, self._turns[name]))

    def _stop_timer(self, name: str) -> None:
        if self._turns.pop(name, None) is not None:
            self._timers.dropped()

    # Firing.

    def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        now = self.now()
        claimed: list[Schedule] = []
        while len(claimed) < limit and self._timers.next_time() <= now:
            name, _ = self._timers.take_first()
            del self._turns[name]
            schedule = self.all_schedules[name]
            if schedule.next_at is None:
                del self.all_schedules[name]
            else:
                self._set_timer(name, self._hidden_until(now, hold))
                claimed.append(schedule)
        next_at = self._timers.next_time()
        return Claim(claimed, now, None if next_at == inf else next_at)

    def _hidden_until(self, now: float, hold: float) -> float:
        return now + hold

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        check_firings(firings)
        now = self.now()
        return [self._fire(firing, now) for firing in firings]

    def _fire(self, firing: Firing, now: float) -> bool:
        schedule = self.all_schedules.get(firing.id)
        if schedule is None or not self._may_fire(schedule, firing):
            return False
        self.enqueue(firing.messages)
        fired_at = now if firing.messages else schedule.fired_at
        self._keep_schedule(replace(schedule, next_at=firing.next_at, fired_at=fired_at), now)
        return True

    def _may_fire(self, schedule: Schedule, firing: Firing) -> bool:
        return (
            schedule.revision == firing.revision
            and schedule.next_at == firing.planned
            and not schedule.paused
            and not schedule.orphaned
        )

    # Changes and listings.

    def change_schedules(self, ids: Sequence[str], change: ScheduleChange) -> list[bool]:
        now = self.now()
        return [self._change_schedule(name, change, now) for name in ids]

    def _change_schedule(self, name: str, change: ScheduleChange, now: float) -> bool:
        schedule = self.all_schedules.get(name)
        if schedule is None:
            return False
        if change is ScheduleChange.REMOVE:
            self._stop_timer(name)
            del self.all_schedules[name]
            return True
        if change is ScheduleChange.ORPHAN and not self._may_orphan(schedule, now):
            return False
        changed = {
            ScheduleChange.PAUSE: replace(schedule, paused=True),
            ScheduleChange.RESUME: replace(schedule, paused=False),
            ScheduleChange.SEEN: self._seen(schedule, now),
            ScheduleChange.ORPHAN: replace(schedule, orphaned=True),
        }[change]
        self._keep_schedule(changed, now)
        return True

    def _may_orphan(self, schedule: Schedule, now: float) -> bool:
        return schedule.declared_by is not None and schedule.seen_at <= now - ORPHANED_AFTER

    def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return [self.all_schedules.get(name) for name in ids]

    def schedules(self, *, limit: int, cursor: str | None) -> Page[Schedule]:
        after = "" if cursor is None else str(unpack_cursor(_LISTING, cursor, length=1)[0])
        names = sorted(name for name in self.all_schedules if name > after)
        items = [self.all_schedules[name] for name in names[:limit]]
        more = len(names) > limit
        return Page(items, pack_cursor(_LISTING, (items[-1].id,)) if more and items else None)


def _claimed_as(schedule: Schedule) -> tuple[object, ...]:
    """Return what ends a claim when it changes."""
    return schedule.next_at, schedule.revision, schedule.paused, schedule.orphaned
