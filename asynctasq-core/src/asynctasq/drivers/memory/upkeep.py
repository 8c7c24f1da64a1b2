"""Upkeep: messages fall due, expire or are lost, and old outcomes and dead letters are deleted.

No timer runs here. Each reserve first does the work that has become due since the last one.
"""

from collections.abc import Collection
from math import inf

from asynctasq.contracts.capabilities import News
from asynctasq.driverkit.outages import UpkeepMark, next_mark, set_back_by
from asynctasq.drivers.memory.entry import Entry, Owner
from asynctasq.drivers.memory.states import States
from asynctasq.message import State
from asynctasq.settlement import Reason

UPKEEP_LIMIT = 10_000
"""Messages that one reserve moves at most for each kind of upkeep, so that no call takes long."""


class Upkeep(States):
    """The rules of time."""

    def empty(self) -> None:
        super().empty()
        self._earliest_deadline = inf
        """The earliest deadline of all owners, or an earlier time."""
        self._mark: UpkeepMark | None = None
        """Mark of the last reserve or extend; see `driverkit.outages`."""

    def _upkeep(self, now: float) -> None:
        """Do everything that is due."""
        self.promote(now, limit=UPKEEP_LIMIT)
        if self._earliest_deadline <= now and not self._is_reclaiming_paused(now):
            self._reclaim_ended(now)
        self._expire(now)
        self._forget(now)
        self._trim_dead(now)

    def promote(self, now: float, *, limit: int | None = None) -> None:
        """Make messages ready that have fallen due."""
        while self.scheduled.next_time() <= now:
            if limit is not None:
                if limit == 0:
                    return
                limit -= 1
            entry = self.scheduled.take_first()
            self._leave_schedule(entry)
            self._make_ready(entry)

    # Outages, and jumps of the clock.

    def _note_call(self, now: float, lease: float) -> None:
        """Record the call of a worker. Start a pause if there was no call for too long."""
        mark = self._mark
        any_leases = mark is None and any(owner.leases for owner in self.owners.values())
        back = set_back_by(mark, now)
        if back:
            self._move_deadlines(back)
        self._mark = next_mark(
            mark,
            now=now,
            lease=lease,
            any_leases=any_leases,
            deadlines=lambda: [owner.deadline for owner in self.owners.values()],
        )

    def _move_deadlines(self, back: float) -> None:
        """Move all deadlines back by as much as the clock was set back."""
        for owner in self.owners.values():
            owner.deadline -= back
            self._mind_deadline(owner.deadline)
        self.workers = {
            name: (worker, ends_at - back) for name, (worker, ends_at) in self.workers.items()
        }

    def _is_reclaiming_paused(self, now: float) -> bool:
        return self._mark is not None and self._mark.is_paused(now)

    # Leases end, all of an owner's at once.

    def _reclaim_ended(self, now: float) -> None:
        for owner in list(self.owners.values()):
            if owner.deadline <= now:
                self._reclaim_all(owner, now)
        self._earliest_deadline = min((o.deadline for o in self.owners.values()), default=inf)

    def _reclaim_all(self, owner: Owner, now: float) -> None:
        for entry in list(owner.leases.values()):
            self._reclaim(entry, now)
        del self.owners[owner.name]

    def _reclaim(self, entry: Entry, now: float) -> None:
        """Reclaim a message from an owner whose leases have ended. It has kept its place in the queue."""
        cancelling, owner = entry.cancelling, entry.owner
        self._leave_lease(entry)
        if cancelling:
            self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            self._add_news(entry, owner=owner)
            return
        entry.lost += 1
        if self._is_lost_for_good(entry):
            self._make_dead(entry, Reason.LOST, entry.error, now)
            self._add_news(entry, Reason.LOST, owner=owner)
        else:
            self._make_ready(entry)
            self._add_news(entry, owner=owner)

    def _add_news(
        self, entry: Entry, reason: Reason | None = None, *, owner: Owner | None = None
    ) -> None:
        """Record news of a message that upkeep moved."""
        self.news.append(
            News(
                id=entry.message.id,
                queue=entry.queue.name,
                task=entry.message.task,
                state=entry.state,
                reason=reason,
                attempts=entry.attempt,
                lost=entry.lost,
                owner=None if owner is None else owner.name,
            )
        )

    def _is_lost_for_good(self, entry: Entry) -> bool:
        return entry.lost > entry.message.max_lost

    def _mind_deadline(self, deadline: float) -> None:
        """Note that the leases of an owner end at another time than before."""
        if deadline < self._earliest_deadline:
            self._earliest_deadline = deadline
            self.waiting_for_work.wake_all()

    # Messages expire.

    def _expire(self, now: float) -> None:
        """Make dead letters of messages that were not started in time."""
        for _ in range(UPKEEP_LIMIT):
            entry = self.expiring.take(now)
            if entry is None:
                return
            entry.expires_at = inf
            # It may still be scheduled, if promotion has not reached it.
            self._leave_waiting(entry)
            self._make_dead(entry, Reason.EXPIRED, None, now)
            self._add_news(entry, Reason.EXPIRED)

    # Expired records are deleted.

    def _forget(self, now: float) -> None:
        self.outcomes.forget(now, limit=UPKEEP_LIMIT)
        self.keys.forget(now, limit=UPKEEP_LIMIT)

    def _trim_dead(self, now: float) -> None:
        kept_since = now - self.settings.dead_letter_ttl
        for _ in range(UPKEEP_LIMIT):
            oldest = self.dead.first()
            if oldest is None or (
                oldest.died_at > kept_since and len(self.dead) <= self.settings.dead_letter_limit
            ):
                break
            self._delete(oldest)

    # Questions of waiting workers.

    def has_work(self, queues: Collection[str], now: float) -> bool:
        """Return True if a reserve from `queues` would find a message."""
        self.promote(now)
        return any(
            queue.ready
            for name in queues
            if (queue := self.queues.get(name)) is not None and name not in self.paused
        )

    def next_event(self, now: float) -> float:
        """Return the time of the next event: a message falls due, or an owner's leases end."""
        if self._earliest_deadline <= now:
            with_leases = (owner.deadline for owner in self.owners.values() if owner.leases)
            self._earliest_deadline = min(with_leases, default=inf)
        lease_ends = self._earliest_deadline
        if self._mark is not None:
            lease_ends = max(lease_ends, self._mark.paused_until)
        return min(self.scheduled.next_time(), lease_ends)
