"""The states of messages, and the transitions between them.

    SCHEDULED ─→ READY ─→ LEASED ─→ completed, cancelled   (an outcome, for a while)
        ↑          ↑↓        ↓
        └──────────┴─────────┤
                   ↑         ↓
                   └────── DEAD   (a ready message that expires gets there too)

This module does not decide when a transition happens.
"""

import os
import threading
import time
from collections import deque
from itertools import count
from math import inf

from asynctasq.contracts.capabilities import NEWS_KEPT, News, Outcome, WorkerInfo
from asynctasq.driverkit.numbers import next_token
from asynctasq.drivers.memory.entry import DEAD, LEASED, READY, SCHEDULED, Entry, Owner
from asynctasq.drivers.memory.keys import UniqueKeys
from asynctasq.drivers.memory.order import Group, Listing, Queue, TimerQueue
from asynctasq.drivers.memory.outcomes import Outcomes
from asynctasq.drivers.memory.settings import MemorySettings
from asynctasq.drivers.memory.waiting import Waiters
from asynctasq.message import State
from asynctasq.settlement import ErrorInfo, Reason


class States:
    """The data that a memory driver and its clones share: messages and their states."""

    keys_class = UniqueKeys
    outcomes_class = Outcomes
    """Tests that break one rule replace both."""

    def __init__(self, settings: MemorySettings) -> None:
        self.settings = settings
        self.clock_offset = 0.0
        self.process = os.getpid()
        self.lock = threading.Lock()
        """Held by the driver for the microseconds of each call: clones live in other threads."""
        self.empty()

    def empty(self) -> None:
        """Make an empty store."""
        self.entries: dict[bytes, Entry] = {}
        """All unfinished and dead messages, in the order of their enqueue."""
        self.queues: dict[str, Queue] = {}
        self.groups: list[Group] = []
        """All groups, by number."""
        self.groups_of_task: dict[str, list[Group]] = {}
        self.places = count(1)
        """Places in listings, and numbers of owners."""
        self.paused: dict[str, float] = {}
        """Names of paused queues, with the time at which each was paused."""
        self.keys = self.keys_class()
        self.owners: dict[str, Owner] = {}
        self.outcomes = self.outcomes_class(self.settings.outcome_limit)
        self.dead = Listing()
        """Dead letters, oldest death first."""
        self.news: deque[News] = deque(maxlen=NEWS_KEPT)
        """The expired and lost messages that upkeep has found since the last call of `news`."""
        self.workers: dict[str, tuple[WorkerInfo, float]] = {}
        """Registered workers, each with the time at which its heartbeat expires."""
        self.scheduled = TimerQueue[Entry](
            lambda at, entry: entry.state is SCHEDULED and entry.due_at == at
        )
        self.expiring = TimerQueue[Entry](lambda at, entry: entry.expires_at == at)
        self.waiting_for_work: Waiters[str] = Waiters()
        self.waiting_for_results: Waiters[bytes] = Waiters()
        self.waiting_for_events: Waiters[str] = Waiters()

    def begin_in_this_process(self) -> None:
        """Empty the store in a forked child, because the parent runs its own messages."""
        if self.process != os.getpid():
            self.process = os.getpid()
            self.lock = threading.Lock()
            self.empty()

    def now(self) -> float:
        """Return the time of the store's clock."""
        return time.time() + self.clock_offset

    def queue(self, name: str) -> Queue:
        queue = self.queues.get(name)
        if queue is None:
            self.queues[name] = queue = Queue(name)
        return queue

    def group(self, queue: Queue, task: str) -> Group:
        group = queue.groups.get(task)
        if group is None:
            queue.groups[task] = group = Group(len(self.groups), queue, task)
            self.groups.append(group)
            self.groups_of_task.setdefault(task, []).append(group)
        return group

    # Into a state.

    def _make_ready(self, entry: Entry) -> None:
        entry.state = READY
        entry.queue.add(entry, next(self.places))
        if self.waiting_for_work.waiters:
            self.waiting_for_work.wake(entry.queue.name)

    def _make_scheduled(self, entry: Entry) -> None:
        entry.state = SCHEDULED
        entry.queue.scheduled += 1
        entry.group.scheduled.add(entry, next(self.places))
        self._mind_due_time(entry)

    def _mind_due_time(self, entry: Entry) -> None:
        earlier = entry.due_at < self.scheduled.next_time()
        self.scheduled.add(entry.due_at, entry)
        if earlier:
            self.waiting_for_work.wake_all()

    def _make_leased(self, entry: Entry, owner: Owner, now: float) -> None:
        entry.state = LEASED
        entry.queue.leased += 1
        entry.token = self._next_token(entry, now)
        entry.owner = owner
        entry.leased_at = now
        owner.leases[entry.message.id] = entry
        entry.place = next(self.places)
        if entry.expires_at != inf:
            self._never_expires(entry)
        if entry.message.unique is not None:
            self.keys.started(entry.message)

    def _next_token(self, entry: Entry, now: float) -> int:
        """Return a token greater than all before it, also those of an entry that was forgotten."""
        return next_token(entry.token, now)

    def _make_dead(self, entry: Entry, reason: Reason, error: ErrorInfo | None, now: float) -> None:
        """Make a dead letter of a message."""
        entry.state = DEAD
        entry.queue.dead += 1
        entry.reason = reason
        entry.error = error
        entry.died_at = now
        entry.progress = None
        self.dead.add(entry, next(self.places))
        self._never_expires(entry)
        self.keys.ended(entry.message)
        if self.waiting_for_results.waiters:
            self.waiting_for_results.wake(entry.message.id)

    def _finish(
        self, entry: Entry, state: State, now: float, ttl: float, result: bytes | None = None
    ) -> None:
        """Remove a message and keep only its outcome."""
        message_id = entry.message.id
        self.outcomes.keep(Outcome(message_id, state, now, result, None, None, entry.about), ttl)
        entry.state = state
        del self.entries[message_id]
        if entry.expires_at != inf:
            self._never_expires(entry)
        if entry.message.unique is not None:
            self.keys.ended(entry.message)
        if self.waiting_for_results.waiters:
            self.waiting_for_results.wake(message_id)

    def _delete(self, entry: Entry) -> None:
        """Remove a message without an outcome."""
        if entry.state is DEAD:
            self._leave_dead(entry)
        else:
            self._leave_waiting(entry)
        entry.state = State.CANCELLED  # so that all its places in queues and timers are leftovers
        del self.entries[entry.message.id]
        self._never_expires(entry)

    # Out of a state. A transition into another one always follows.

    def _leave_waiting(self, entry: Entry) -> None:
        """Remove a message from its place in a queue or among scheduled ones, not from the head."""
        if entry.state is SCHEDULED:
            self._leave_scheduled(entry)
        else:
            self._leave_ready(entry)
            entry.place = 0
            entry.queue.dropped()

    def _leave_scheduled(self, entry: Entry) -> None:
        self._leave_schedule(entry)
        entry.state = READY  # so that its place in the timer queue is a leftover
        self.scheduled.dropped()

    def _leave_schedule(self, entry: Entry) -> None:
        entry.queue.scheduled -= 1
        entry.group.scheduled.remove(entry)

    def _leave_ready(self, entry: Entry) -> None:
        entry.queue.ready -= 1

    def _leave_lease(self, entry: Entry) -> None:
        if entry.owner is not None:
            del entry.owner.leases[entry.message.id]
        entry.owner = None
        entry.cancelling = False
        entry.queue.leased -= 1

    def _leave_dead(self, entry: Entry) -> None:
        entry.queue.dead -= 1
        self.dead.remove(entry)

    # Expiry, of messages that wait.

    def _expires_at(self, entry: Entry, time: float) -> None:
        entry.expires_at = time
        self.expiring.add(time, entry)

    def _never_expires(self, entry: Entry) -> None:
        if (
            entry.expires_at != inf
        ):  # the calls for each message of a batch are behind the same check
            entry.expires_at = inf
            self.expiring.dropped()
