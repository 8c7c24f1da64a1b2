"""The store behind the memory driver: what a message can do, one small method per transition.

Nothing here locks, waits or knows of event loops; the driver does. Each public method is one call
of the driver contract, atomic under the driver's lock. Each method that begins with an underscore
is one rule, so that a test can break exactly one by overriding it.

    enqueue ─→ SCHEDULED ─→ READY ─→ LEASED ─→ completed, cancelled   (an outcome, for a while)
                   ↑          ↑↓        ↓
                   └──────────┴─────────┤
                              ↑         ↓
                              └────── DEAD   (a ready message that expires gets there too)
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from math import inf

from asynctasq.contracts.capabilities import CancelOutcome, Outcome, WorkerInfo
from asynctasq.contracts.driver import Enqueued
from asynctasq.drivers.memory.entry import DEAD, LEASED, READY, SCHEDULED, Entry, Hold, Owner
from asynctasq.drivers.memory.order import Agenda, Queue
from asynctasq.drivers.memory.settings import MemorySettings
from asynctasq.drivers.memory.waiting import Waiters
from asynctasq.message import Delivery, Lease, Message, OnConflict, State, Unique, UniqueUntil
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)

OUTCOME_TTL_LEAST = 60.0
"""Seconds for which every outcome is kept, so that a repeated enqueue finds its id known."""
UPKEEP_LIMIT = 10_000
"""Messages that one reserve moves at most for each kind of upkeep, so that no call takes long."""


class Store:
    """All that a memory driver and its clones share."""

    def __init__(self, settings: MemorySettings) -> None:
        self.settings = settings
        self.clock_offset = 0.0
        self.process = os.getpid()
        self.lock = threading.Lock()
        """Held by the driver for the microseconds of each call: clones live in other threads."""
        self._empty()

    def _empty(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        """Every message that lives or is dead, in the order of their enqueue."""
        self.queues: dict[str, Queue] = {}
        self.owners: dict[str, Owner] = {}
        self.dead: OrderedDict[int, Entry] = OrderedDict()
        """By number of death."""
        self.outcomes: dict[bytes, tuple[float, Outcome]] = {}
        """With the time until which each is kept."""
        self.holds: dict[str, Hold] = {}
        self.paused: set[str] = set()
        self.workers: dict[str, tuple[WorkerInfo, float]] = {}
        self.waiting_for_work: Waiters[str] = Waiters()
        self.waiting_for_results: Waiters[bytes] = Waiters()
        self._deaths = 0
        self._earliest_deadline = inf
        """No owner's deadline is earlier."""
        self._scheduled = Agenda[Entry](
            lambda at, entry: entry.state is SCHEDULED and entry.due_at == at
        )
        self._expiring = Agenda[Entry](lambda at, entry: entry.expires_at == at)
        self._forgetting = Agenda[bytes](
            lambda at, message_id: self.outcomes.get(message_id, (inf,))[0] == at
        )
        self._periods = Agenda[Hold](
            lambda at, hold: hold.ends_at == at and self.holds.get(hold.key) is hold
        )

    def begin_in_this_process(self) -> None:
        """A forked child begins with nothing: what its parent has, its parent runs."""
        if self.process != os.getpid():
            self.process = os.getpid()
            self.lock = threading.Lock()
            self._empty()

    def now(self) -> float:
        """The store's clock."""
        return time.time() + self.clock_offset

    def queue(self, name: str) -> Queue:
        queue = self.queues.get(name)
        if queue is None:
            self.queues[name] = queue = Queue(name)
        return queue

    # Enqueue.

    def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        now = self.now()
        self.promote(now)
        # Whatever is wrong with a message shows here, before anything has changed.
        entries = [self._new_entry(message, now) for message in messages]
        return [self._admit(entry, now) for entry in entries]

    def _new_entry(self, message: Message, now: float) -> Entry:
        entry = Entry(message, self.queue(message.queue), now)
        entry.due_at = self._first_due(message, now)
        if message.expires is not None:
            entry.expires_at = entry.due_at + message.expires
        return entry

    def _first_due(self, message: Message, now: float) -> float:
        if message.eta is not None:
            return max(message.eta, now)
        return now + message.delay if message.delay > 0.0 else now

    def _admit(self, entry: Entry, now: float) -> Enqueued:
        message = entry.message
        if self._is_known(message.id, now):
            return Enqueued(message.id, False)
        if message.unique is not None:
            holder = self._conflict(entry, message.unique, now)
            if holder is not None:
                return Enqueued(holder, False)
            self._hold(message.id, message.unique, now)
        self.entries[message.id] = entry
        if entry.expires_at != inf:
            self._expiring.add(entry.expires_at, entry)
        if entry.due_at <= now:
            self._make_ready(entry)
        else:
            self._make_scheduled(entry)
        return Enqueued(message.id, True)

    def _is_known(self, message_id: bytes, now: float) -> bool:
        return message_id in self.entries or self.outcome(message_id, now) is not None

    def outcome(self, message_id: bytes, now: float) -> Outcome | None:
        """How a message ended, as long as that is kept; None for dead letters."""
        kept = self.outcomes.get(message_id)
        return kept[1] if kept is not None and kept[0] > now else None

    # Unique keys.

    def _conflict(self, newcomer: Entry, unique: Unique, now: float) -> bytes | None:
        """Who holds the key and keeps it; None if the newcomer may take it."""
        hold = self._current_hold(unique.key, now)
        if hold is None:
            return None
        holder = self.entries.get(hold.holder)
        if unique.on_conflict is OnConflict.REPLACE and holder is not None and _waits(holder):
            self._cancel_waiting(holder, now)
            return None
        if unique.on_conflict is OnConflict.EXTEND:
            self._extend_hold(hold, holder, newcomer, now)
        return hold.holder

    def _current_hold(self, key: str, now: float) -> Hold | None:
        hold = self.holds.get(key)
        return hold if hold is not None and hold.ends_at > now else None

    def _hold(self, message_id: bytes, unique: Unique, now: float) -> None:
        hold = Hold(unique.key, message_id, unique.until)
        if unique.until is UniqueUntil.PERIOD:
            hold.period = unique.period or 0.0
            hold.ends_at = now + hold.period
            self._periods.add(hold.ends_at, hold)
        self._replace_hold(hold)

    def _replace_hold(self, hold: Hold) -> None:
        former = self.holds.get(hold.key)
        self.holds[hold.key] = hold
        if former is not None and former.ends_at != inf:
            self._periods.dropped()

    def _extend_hold(self, hold: Hold, holder: Entry | None, newcomer: Entry, now: float) -> None:
        if holder is not None and holder.state is SCHEDULED:
            self._reschedule(holder, newcomer.due_at, now)
        if hold.until is UniqueUntil.PERIOD:
            unique = newcomer.message.unique
            period = unique.period if unique is not None else None
            hold.ends_at = now + (hold.period if period is None else period)
            self._periods.add(hold.ends_at, hold)
            self._periods.dropped()

    def _reschedule(self, entry: Entry, due_at: float, now: float) -> None:
        """Give a scheduled message another time; its expiry counts from there."""
        expires = entry.message.expires
        self._unschedule(entry)
        entry.due_at = due_at
        if expires is not None and entry.expires_at != inf:
            self._never_expires(entry)
            entry.expires_at = due_at + expires
            self._expiring.add(entry.expires_at, entry)
        if due_at <= now:
            self._make_ready(entry)
        else:
            self._make_scheduled(entry)

    def _free_key(self, entry: Entry, *, even_period: bool = False, started: bool = False) -> None:
        """The key of a message that starts, ends or is purged, if it holds one."""
        unique = entry.message.unique
        if unique is None:
            return
        hold = self.holds.get(unique.key)
        if hold is None or hold.holder != entry.message.id:
            return
        if hold.until is UniqueUntil.PERIOD:
            if not even_period:
                return
            self._periods.dropped()
        elif started and hold.until is not UniqueUntil.STARTED:
            return
        del self.holds[unique.key]

    # Reserve.

    def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        now = self.now()
        self._upkeep(now)
        holder = self.owners.get(owner)
        if holder is not None:
            self._renew_by_reserve(holder, now + lease)
        deliveries: list[Delivery] = []
        for name, most in queues.items():
            queue = self.queues.get(name)
            if queue is None or self._is_paused(name):
                continue
            end = len(deliveries) + self._room(most, limit - len(deliveries))
            while len(deliveries) < end:
                entry = queue.take()
                if entry is None:
                    break
                if self._has_expired(entry, now):
                    self._leave_ready(entry)
                    self._bury(entry, Reason.EXPIRED, None, now)
                else:
                    if holder is None:
                        holder = self._new_owner(owner, now + lease)
                    deliveries.append(self._lease(entry, holder, now))
        return deliveries

    def _room(self, most: int, left: int) -> int:
        """How many may be taken of a queue."""
        return min(most, left)

    def _is_paused(self, queue: str) -> bool:
        return queue in self.paused

    def _has_expired(self, entry: Entry, now: float) -> bool:
        return entry.expires_at <= now

    def _new_owner(self, name: str, deadline: float) -> Owner:
        """An owner begins with its first delivery, and ends with its deadline."""
        self.owners[name] = owner = Owner(name, deadline)
        self._mind_deadline(deadline)
        return owner

    def _renew_by_reserve(self, owner: Owner, deadline: float) -> None:
        owner.deadline = max(owner.deadline, deadline)
        self._mind_deadline(owner.deadline)

    def _mind_deadline(self, deadline: float) -> None:
        if deadline < self._earliest_deadline:
            self._earliest_deadline = deadline
            self.waiting_for_work.wake_all()

    def _lease(self, entry: Entry, owner: Owner, now: float) -> Delivery:
        message = entry.message
        self._leave_ready(entry)
        entry.state = LEASED
        entry.queue.leased += 1
        entry.token += 1
        entry.owner = owner
        entry.leased_at = now
        owner.leases[message.id] = entry
        if entry.expires_at != inf:
            self._never_expires(entry)
        if message.unique is not None:
            self._free_key(entry, started=True)
        return Delivery(
            message,
            Lease(message.id, entry.token),
            entry.attempt,
            entry.lost,
            entry.enqueued_at,
            0.0 if entry.mismatched_at is None else max(now - entry.mismatched_at, 0.0),
        )

    # Upkeep.

    def _upkeep(self, now: float) -> None:
        """Everything that time brings about."""
        self.promote(now, limit=UPKEEP_LIMIT)
        if self._earliest_deadline <= now:
            self._reclaim_ended(now)
        self._expire(now)
        self._forget(now)
        self._trim_dead(now)

    def promote(self, now: float, *, limit: int | None = None) -> None:
        """Make ready what has fallen due."""
        while self._scheduled.next_time() <= now:
            if limit is not None:
                if limit == 0:
                    return
                limit -= 1
            entry = self._scheduled.take_first()
            entry.queue.scheduled -= 1
            self._make_ready(entry)

    def _reclaim_ended(self, now: float) -> None:
        for owner in list(self.owners.values()):
            if owner.deadline <= now:
                del self.owners[owner.name]
                for entry in list(owner.leases.values()):
                    self._reclaim(entry, now)
        self._earliest_deadline = min((o.deadline for o in self.owners.values()), default=inf)

    def _reclaim(self, entry: Entry, now: float) -> None:
        """Take a message back from an owner that is gone."""
        cancelling = entry.cancelling
        self._leave_lease(entry)
        if cancelling:
            self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            return
        entry.lost += 1
        if self._is_lost_for_good(entry):
            self._bury(entry, Reason.LOST, entry.error, now)
        else:
            self._make_ready(entry)

    def _is_lost_for_good(self, entry: Entry) -> bool:
        return entry.lost > entry.message.max_lost

    def _expire(self, now: float) -> None:
        """Bury what was not started in time. A scheduled message that is due has been promoted."""
        for _ in range(UPKEEP_LIMIT):
            entry = self._expiring.take(now)
            if entry is None:
                return
            if entry.state is SCHEDULED:  # promotion has not come to it yet
                self._unschedule(entry)
            else:
                self._leave_ready(entry)
                entry.queue.dropped()
            entry.expires_at = inf
            self._bury(entry, Reason.EXPIRED, None, now)

    def _forget(self, now: float) -> None:
        """Let go of outcomes and periods that are past their time."""
        for _ in range(UPKEEP_LIMIT):
            too_many = len(self._forgetting) > self.settings.outcome_limit
            message_id = self._forgetting.take(inf if too_many else now)
            if message_id is None:
                break
            del self.outcomes[message_id]
        for _ in range(UPKEEP_LIMIT):
            hold = self._periods.take(now)
            if hold is None:
                break
            del self.holds[hold.key]

    def _trim_dead(self, now: float) -> None:
        kept_since = now - self.settings.dead_letter_ttl
        for _ in range(UPKEEP_LIMIT):
            oldest = next(iter(self.dead.values()), None)
            if oldest is None or (
                oldest.died_at > kept_since and len(self.dead) <= self.settings.dead_letter_limit
            ):
                break
            self._delete(oldest)

    # Settle.

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        now = self.now()
        return [self._settle(settlement, now) for settlement in settlements]

    def _settle(self, settlement: Settlement, now: float) -> Settled:
        entry = self.entries.get(settlement.lease.id)
        if entry is None or not self._is_current(entry, settlement.lease):
            return Settled.LOST
        cancelling = entry.cancelling
        self._leave_lease(entry)
        match settlement:
            case Complete(result=result, result_ttl=ttl):
                self._complete(entry, result, ttl, now)
            case Retry() | Release() if cancelling:
                self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            case Retry():
                self._retry(entry, settlement, now)
            case Fail():
                self._fail(entry, settlement, now)
            case Release():
                self._release(entry, settlement, now)
            case Cancelled(result_ttl=ttl):
                self._finish(entry, State.CANCELLED, now, ttl)
        return Settled.DONE

    def _is_current(self, entry: Entry, lease: Lease) -> bool:
        return entry.state is LEASED and entry.token == lease.token

    def _complete(self, entry: Entry, result: bytes | None, ttl: float, now: float) -> None:
        self._finish(entry, State.COMPLETED, now, ttl, result if ttl > 0.0 else None)

    def _retry(self, entry: Entry, retry: Retry, now: float) -> None:
        entry.attempt += 1
        entry.error = retry.error
        entry.mismatched_at = None
        entry.due_at = now + max(retry.delay, 0.0)
        if retry.delay > 0.0:
            self._make_scheduled(entry)
        else:
            self._make_ready(entry)

    def _fail(self, entry: Entry, fail: Fail, now: float) -> None:
        if fail.attempted:
            entry.attempt += 1
        self._bury(entry, fail.reason, fail.error, now)

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        if release.mismatched and entry.mismatched_at is None:
            entry.mismatched_at = now
        if release.delay > 0.0:
            entry.due_at = now + release.delay
            self._make_scheduled(entry)
        else:
            self._make_ready(entry)

    # Extend.

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        now = self.now()
        owner = self.owners.get(name)
        if owner is None:
            return [LeaseState.LOST] * len(leases)
        owner.deadline = now + lease
        self._mind_deadline(owner.deadline)
        self._give_back_unknown(owner, leases, now - lease, now)
        return [self._lease_state(owner, known) for known in leases]

    def _lease_state(self, owner: Owner, lease: Lease) -> LeaseState:
        entry = owner.leases.get(lease.id)
        held = entry is not None and self._is_current(entry, lease)
        return LeaseState.HELD if held else LeaseState.LOST

    def _give_back_unknown(
        self, owner: Owner, leases: Sequence[Lease], leased_until: float, now: float
    ) -> None:
        """Give back what was leased to an owner which never learned of it."""
        named = {(lease.id, lease.token) for lease in leases}
        for entry in list(owner.leases.values()):
            if entry.leased_at > leased_until or (entry.message.id, entry.token) in named:
                continue
            cancelling = entry.cancelling
            self._leave_lease(entry)
            if cancelling:
                self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            else:
                self._make_ready(entry)

    # Cancel, pause, progress.

    def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        now = self.now()
        return [self._cancel(message_id, now) for message_id in ids]

    def _cancel(self, message_id: bytes, now: float) -> CancelOutcome:
        entry = self.entries.get(message_id)
        if entry is None:
            known = self.outcome(message_id, now) is not None
            return CancelOutcome.TOO_LATE if known else CancelOutcome.UNKNOWN
        if entry.state is DEAD:
            return CancelOutcome.TOO_LATE
        if entry.state is LEASED:
            self._flag(entry)
            return CancelOutcome.REQUESTED
        self._cancel_waiting(entry, now)
        return CancelOutcome.CANCELLED

    def _flag(self, entry: Entry) -> None:
        entry.cancelling = True

    def _cancel_waiting(self, entry: Entry, now: float) -> None:
        self._leave_waiting(entry)
        self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)

    def cancel_requests(self, owner: str) -> list[Lease]:
        holder = self.owners.get(owner)
        if holder is None:
            return []
        flagged = (entry for entry in holder.leases.values() if entry.cancelling)
        return [Lease(entry.message.id, entry.token) for entry in flagged]

    def pause(self, queue: str) -> None:
        self.paused.add(queue)

    def resume(self, queue: str) -> None:
        self.paused.discard(queue)
        self.waiting_for_work.wake(queue)

    def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        for lease, word in updates:
            entry = self.entries.get(lease.id)
            if entry is not None and self._is_current(entry, lease):
                entry.progress = word

    # Dead letters and purge.

    def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        now = self.now()
        return [self._requeue(message_id, None, now) for message_id in ids]

    def requeue_edited(self, message: Message) -> bool:
        return self._requeue(message.id, message, self.now())

    def _requeue(self, message_id: bytes, edited: Message | None, now: float) -> bool:
        entry = self.entries.get(message_id)
        if entry is None or entry.state is not DEAD:
            return False
        message = entry.message if edited is None else edited
        unique = message.unique
        if unique is not None and unique.until is not UniqueUntil.PERIOD:
            hold = self._current_hold(unique.key, now)
            if hold is not None and hold.holder != message_id:
                return False
            self._hold(message_id, unique, now)
        self._leave_dead(entry)
        self._begin_anew(entry, message, now)
        self._make_ready(entry)
        return True

    def _begin_anew(self, entry: Entry, message: Message, now: float) -> None:
        entry.message = message
        entry.queue = self.queue(message.queue)
        entry.attempt = entry.lost = 0
        entry.error = None
        entry.mismatched_at = None
        entry.due_at = now
        if message.expires is not None:
            entry.expires_at = now + message.expires
            self._expiring.add(entry.expires_at, entry)

    def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        answers = []
        for message_id in ids:
            entry = self.entries.get(message_id)
            dead = entry is not None and entry.state is DEAD
            if entry is not None and dead:
                self._delete(entry)
            answers.append(dead)
        return answers

    def purge(self, name: str, states: Collection[State]) -> int:
        self.promote(self.now())
        doomed = [
            entry
            for entry in self.entries.values()
            if entry.queue.name == name and self._may_purge(entry, states)
        ]
        for entry in doomed:
            self._free_key(entry, even_period=True)
            self._delete(entry)
        return len(doomed)

    def _may_purge(self, entry: Entry, states: Collection[State]) -> bool:
        return entry.state in states and entry.state is not LEASED

    # From state to state. Each `_leave_*` ends one state; what follows begins another.

    def _make_ready(self, entry: Entry) -> None:
        entry.state = READY
        entry.queue.ready += 1
        entry.queue.push(entry)
        if self.waiting_for_work:
            self.waiting_for_work.wake(entry.queue.name)

    def _make_scheduled(self, entry: Entry) -> None:
        entry.state = SCHEDULED
        entry.queue.scheduled += 1
        earlier = entry.due_at < self._scheduled.next_time()
        self._scheduled.add(entry.due_at, entry)
        if earlier:
            self.waiting_for_work.wake_all()

    def _bury(self, entry: Entry, reason: Reason, error: ErrorInfo | None, now: float) -> None:
        """To the dead letters."""
        entry.state = DEAD
        entry.queue.dead += 1
        entry.reason = reason
        entry.error = error
        entry.died_at = now
        entry.progress = None
        if entry.expires_at != inf:
            self._never_expires(entry)
        self._deaths += 1
        entry.death = self._deaths
        self.dead[entry.death] = entry
        self._free_key(entry)
        if self.waiting_for_results:
            self.waiting_for_results.wake(entry.message.id)

    def _finish(
        self, entry: Entry, state: State, now: float, ttl: float, result: bytes | None = None
    ) -> None:
        """Only the outcome stays."""
        message_id = entry.message.id
        del self.entries[message_id]
        entry.state = state
        if entry.expires_at != inf:
            self._never_expires(entry)
        if entry.message.unique is not None:
            self._free_key(entry)
        until = now + self._outcome_ttl(ttl)
        self.outcomes[message_id] = (until, Outcome(message_id, state, now, result))
        self._forgetting.add(until, message_id)
        if self.waiting_for_results:
            self.waiting_for_results.wake(message_id)

    def _outcome_ttl(self, ttl: float) -> float:
        return max(ttl, OUTCOME_TTL_LEAST)

    def _delete(self, entry: Entry) -> None:
        """Nothing stays."""
        if entry.state is DEAD:
            self._leave_dead(entry)
        else:
            self._leave_waiting(entry)
        del self.entries[entry.message.id]
        entry.state = State.CANCELLED
        if entry.expires_at != inf:
            self._never_expires(entry)

    def _leave_waiting(self, entry: Entry) -> None:
        if entry.state is SCHEDULED:
            self._unschedule(entry)
        else:
            self._leave_ready(entry)
            entry.queue.dropped()

    def _leave_ready(self, entry: Entry) -> None:
        entry.queue.ready -= 1

    def _unschedule(self, entry: Entry) -> None:
        entry.queue.scheduled -= 1
        entry.state = READY  # so that its place in the agenda no longer stands
        self._scheduled.dropped()

    def _leave_lease(self, entry: Entry) -> None:
        if entry.owner is not None:
            del entry.owner.leases[entry.message.id]
        entry.owner = None
        entry.cancelling = False
        entry.queue.leased -= 1

    def _leave_dead(self, entry: Entry) -> None:
        entry.queue.dead -= 1
        del self.dead[entry.death]

    def _never_expires(self, entry: Entry) -> None:
        entry.expires_at = inf
        self._expiring.dropped()

    # What waiting needs to know.

    def has_work(self, queues: Collection[str], now: float) -> bool:
        """Whether a reserve from `queues` would find something."""
        self.promote(now)
        return any(
            queue.ready
            for name in queues
            if (queue := self.queues.get(name)) is not None and name not in self.paused
        )

    def next_event(self, now: float) -> float:
        """When time next brings something about: a message falls due, or an owner's leases end."""
        if self._earliest_deadline <= now:
            with_leases = (owner.deadline for owner in self.owners.values() if owner.leases)
            self._earliest_deadline = min(with_leases, default=inf)
        return min(self._scheduled.next_time(), self._earliest_deadline)


def _waits(entry: Entry) -> bool:
    return entry.state is READY or entry.state is SCHEDULED
