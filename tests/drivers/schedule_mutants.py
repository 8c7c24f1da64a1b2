"""Seeded bugs in schedules: each breaks a rule that the suite must check."""

from collections.abc import Sequence
from dataclasses import replace

from asynctasq.contracts.capabilities.paging import Page
from asynctasq.contracts.capabilities.schedules import Claim, Firing, Schedule, ScheduleChange
from asynctasq.drivers.memory.brokered import StateStore
from tests.drivers.mutants import mutant


@mutant("schedules")
class ClaimHidesNothing(StateStore):
    """A claimed schedule is claimed again at once."""

    def _hidden_until(self, now: float, hold: float) -> float:
        return now + 1e-6


@mutant("schedules")
class ClaimHidesForEver(StateStore):
    """A schedule whose claimer has died is never claimed again."""

    def _hidden_until(self, now: float, hold: float) -> float:
        return now + 1e9


@mutant("schedules")
class NewestFirst(StateStore):
    """The schedule that fell due last is claimed first."""

    def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        claim = super().claim_schedules(limit=limit, hold=hold)
        return Claim(claim.schedules[::-1], claim.now, claim.next_at)


@mutant("schedules")
class ClaimsAll(StateStore):
    """A claim has no limit."""

    def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        return super().claim_schedules(limit=max(limit, 100), hold=hold)


@mutant("schedules")
class NextIsNow(StateStore):
    """A claim says that more is due although nothing is."""

    def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        claim = super().claim_schedules(limit=limit, hold=hold)
        return Claim(claim.schedules, claim.now, claim.now)


@mutant("schedules")
class NextIsUnknown(StateStore):
    """A claim does not say when the next schedule is due."""

    def claim_schedules(self, *, limit: int, hold: float) -> Claim:
        claim = super().claim_schedules(limit=limit, hold=hold)
        return Claim(claim.schedules, claim.now, None)


@mutant("schedules")
class ForgetsTheDeclarer(StateStore):
    """The application that declares a schedule is not kept."""

    def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        return super().put_schedules([replace(each, declared_by=None) for each in schedules])


@mutant("schedules")
class FiresWithoutMessages(StateStore):
    """The next time is set, and no message is enqueued."""

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return super().fire([replace(each, messages=()) for each in firings])


@mutant("schedules")
class FiresTheFirstMessage(StateStore):
    """Only one message of a firing is enqueued."""

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return super().fire([replace(each, messages=each.messages[:1]) for each in firings])


@mutant("schedules")
class TimeIsNotCompared(StateStore):
    """A repeated firing fires again."""

    def _may_fire(self, schedule: Schedule, firing: Firing) -> bool:
        return super()._may_fire(schedule, replace(firing, planned=schedule.next_at or 0.0))


@mutant("schedules")
class RevisionIsNotCompared(StateStore):
    """A claim of a former definition fires."""

    def _may_fire(self, schedule: Schedule, firing: Firing) -> bool:
        return super()._may_fire(schedule, replace(firing, revision=schedule.revision))


@mutant("schedule_changes")
class FiresThroughPauses(StateStore):
    """A schedule that is paused after its claim fires."""

    def _may_fire(self, schedule: Schedule, firing: Firing) -> bool:
        return super()._may_fire(replace(schedule, paused=False), firing)


@mutant("schedule_changes")
class FiresOrphans(StateStore):
    """A schedule that is orphaned after its claim fires."""

    def _may_fire(self, schedule: Schedule, firing: Firing) -> bool:
        return super()._may_fire(replace(schedule, orphaned=False), firing)


@mutant("schedules")
class OneRefusalStopsAll(StateStore):
    """A firing that is refused stops those behind it."""

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        answers: list[bool] = []
        for firing in firings:
            answers += super().fire([firing]) if all(answers) else [False]
        return answers


@mutant("schedules")
class FiresHalfOfACall(StateStore):
    """The firings before an invalid one have taken place."""

    def fire(self, firings: Sequence[Firing]) -> list[bool]:
        return [
            answer for firing in firings for answer in super(FiresHalfOfACall, self).fire([firing])
        ]


@mutant("schedules")
class SkippingCountsAsFiring(StateStore):
    """A firing without messages sets the time of the last firing."""

    def _fire(self, firing: Firing, now: float) -> bool:
        fired = super()._fire(firing, now)
        if fired:
            schedule = self.all_schedules[firing.id]
            self.all_schedules[firing.id] = replace(schedule, fired_at=now)
        return fired


@mutant("schedule_changes")
class PutResetsTheTime(StateStore):
    """A deployment resets the interval."""

    def _next_after_change(self, old: Schedule, given: Schedule) -> float | None:
        return given.next_at


@mutant("schedule_changes")
class PutKeepsTheTime(StateStore):
    """A new rhythm keeps the old time."""

    def _next_after_change(self, old: Schedule, given: Schedule) -> float | None:
        return old.next_at


@mutant("schedule_changes")
class PutAlwaysCounts(StateStore):
    """A put of an equal definition counts the revision up."""

    def _put_schedule(self, given: Schedule, now: float) -> int:
        old = self.all_schedules.get(given.id)
        if old is not None:
            self.all_schedules[given.id] = replace(old, definition=b"?")
        return super()._put_schedule(given, now)


@mutant("schedule_changes")
class PutEndsPauses(StateStore):
    """A deployment resumes what an operator has paused."""

    def _seen(self, schedule: Schedule, now: float) -> Schedule:
        return replace(super()._seen(schedule, now), paused=False)


@mutant("schedule_changes")
class PutEndsClaims(StateStore):
    """A put of an equal definition makes a claimed schedule due."""

    def _put_schedule(self, given: Schedule, now: float) -> int:
        revision = super()._put_schedule(given, now)
        self._set_timer(given.id, self.all_schedules[given.id].next_at or now)
        return revision


@mutant("schedule_changes")
class AcceptsAnything(StateStore):
    """Invalid definitions are stored."""

    def put_schedules(self, schedules: Sequence[Schedule]) -> list[int]:
        return [self._put_schedule(each, self.now()) for each in schedules]


@mutant("schedule_changes")
class PauseIsShownOnly(StateStore):
    """A paused schedule is claimed."""

    def _stop_timer(self, name: str) -> None:
        if not self.all_schedules[name].paused:
            super()._stop_timer(name)


@mutant("schedule_changes")
class ResumeForgetsTheTime(StateStore):
    """Times that passed in a pause are lost."""

    def _change_schedule(self, name: str, change: ScheduleChange, now: float) -> bool:
        schedule = self.all_schedules.get(name)
        if schedule is not None and change is ScheduleChange.RESUME:
            self.all_schedules[name] = replace(schedule, next_at=now + 60.0)
        return super()._change_schedule(name, change, now)


@mutant("schedule_changes")
class UnknownIsChanged(StateStore):
    """The answer for an unknown schedule is that it was changed."""

    def _change_schedule(self, name: str, change: ScheduleChange, now: float) -> bool:
        return super()._change_schedule(name, change, now) or True


@mutant("schedule_changes")
class OrphansAtOnce(StateStore):
    """A schedule that was seen a moment ago is orphaned."""

    def _may_orphan(self, schedule: Schedule, now: float) -> bool:
        return schedule.declared_by is not None


@mutant("schedule_changes")
class OrphansTheStored(StateStore):
    """A schedule that no code declares is orphaned."""

    def _may_orphan(self, schedule: Schedule, now: float) -> bool:
        return schedule.seen_at <= now - 86_400.0


@mutant("schedule_changes")
class OrphansForEver(StateStore):
    """A schedule that is declared again stays orphaned."""

    def _seen(self, schedule: Schedule, now: float) -> Schedule:
        return replace(super()._seen(schedule, now), orphaned=schedule.orphaned)


@mutant("schedule_changes")
class FinishedIsGone(StateStore):
    """A schedule is deleted when it fires for the last time, so a repeated put fires it again."""

    def _fire(self, firing: Firing, now: float) -> bool:
        fired = super()._fire(firing, now)
        if fired and firing.next_at is None:
            self._change_schedule(firing.id, ScheduleChange.REMOVE, now)
        return fired


@mutant("schedule_changes")
class FinishedIsKept(StateStore):
    """A schedule is kept for ever after its last time."""

    def _set_timer(self, name: str, at: float) -> None:
        if self.all_schedules[name].next_at is not None:
            super()._set_timer(name, at)
        else:
            self._stop_timer(name)


@mutant("schedule_changes")
class ListsOnePage(StateStore):
    """A listing ends with its first page."""

    def schedules(self, *, limit: int, cursor: str | None) -> Page[Schedule]:
        return Page(super().schedules(limit=limit, cursor=cursor).items)


@mutant("schedule_changes")
class FindsOthers(StateStore):
    """Unknown schedules are left out of what is found."""

    def find_schedules(self, ids: Sequence[str]) -> list[Schedule | None]:
        return [each for each in super().find_schedules(ids) if each is not None]
