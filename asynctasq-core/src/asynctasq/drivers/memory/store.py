"""The store behind the memory driver, with one small method for each rule.

It is written in layers. Read each file from top to bottom:

    store       calls of dispatchers and operators: enqueue, cancel, pause, requeue, purge
    leases      calls of workers: reserve, extend, settle
    upkeep      effects of time: messages fall due, are lost, expire and are deleted
    states      the states of a message, and the transitions between them
    keys, outcomes, order, entry    the data structures of the states

The driver handles locks, waits and event loops; the store does not. A public method with the name of
a driver method is one call of the driver contract, atomic under the driver's lock. Every other
method is one rule, so that a test can break exactly one rule by overriding it.
"""

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from math import inf

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.move import Changes
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.changes import edited, new_due_time
from asynctasq.driverkit.id_parts import has_id_part
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.drivers.memory.entry import DEAD, LEASED, READY, SCHEDULED, Entry
from asynctasq.drivers.memory.leases import Leases
from asynctasq.drivers.memory.listing import Position, collect
from asynctasq.drivers.memory.order import Listing, Queue
from asynctasq.message import Message, OnConflict, State, Unique, UniqueUntil

PURGED_AT_ONCE = 1000
"""Messages that one piece of a purge deletes, at most."""
_ALL_DEAD = 1 << 62
"""Number of the listing of dead letters in a purge."""


class Store(Leases):
    """The store that a memory driver and its clones share, with all operations."""

    # Enqueue.

    has_part = staticmethod(has_id_part)

    def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        now = self.now()
        if self.scheduled.next_time() <= now:
            self.promote(now)
        # An invalid message raises here, before anything has changed.
        entries = [self._new_entry(message, now) for message in messages]
        return [self._admit(entry, now) for entry in entries]

    def _new_entry(self, message: Message, now: float) -> Entry:
        check_numbers(message)
        queue = self.queues.get(message.queue) or self.queue(message.queue)
        group = queue.groups.get(message.task) or self.group(queue, message.task)
        entry = Entry(message, group, queue, now)
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
            self.keys.give(message.id, message.unique, now)
        self.entries[message.id] = entry
        if message.expires is not None:
            self._expires_at(entry, entry.expires_at)
        self._make_waiting(entry, now)
        return Enqueued(message.id, True)

    def _is_known(self, message_id: bytes, now: float) -> bool:
        return message_id in self.entries or (
            message_id in self.outcomes.kept and self.outcomes.find(message_id, now) is not None
        )

    def _make_waiting(self, entry: Entry, now: float) -> None:
        if entry.due_at <= now:
            self._make_ready(entry)
        else:
            self._make_scheduled(entry)

    # Two messages with one key.

    def _conflict(self, newcomer: Entry, unique: Unique, now: float) -> bytes | None:
        """Return the ID of the message that keeps the key; None if the newcomer may take it."""
        hold = self.keys.current(unique.key, now)
        if hold is None:
            return None
        holder = self.entries.get(hold.holder)
        if (
            unique.on_conflict is OnConflict.REPLACE
            and holder is not None
            and holder.state in (READY, SCHEDULED)
        ):
            self._cancel_waiting(holder, now)
            return None
        if unique.on_conflict is OnConflict.EXTEND:
            if holder is not None and holder.state is SCHEDULED:
                self._reschedule(holder, newcomer.due_at, now)
            self.keys.prolong(hold, unique, now)
        return hold.holder

    def _reschedule(self, entry: Entry, due_at: float, now: float) -> None:
        """Give a scheduled message another due time. Its expiry, if it still has one, counts from there."""
        if entry.message.expires is not None and entry.expires_at != inf:
            self._never_expires(entry)
            self._expires_at(entry, due_at + entry.message.expires)
        if due_at > now:  # it keeps its place in listings
            entry.due_at = due_at
            self.scheduled.dropped()
            self._mind_due_time(entry)
        else:
            self._leave_scheduled(entry)
            entry.due_at = due_at
            self._make_ready(entry)

    # Cancel, and pause.

    def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        now = self.now()
        return [self._cancel(message_id, now) for message_id in ids]

    def _cancel(self, message_id: bytes, now: float) -> CancelOutcome:
        entry = self.entries.get(message_id)
        if entry is None:
            known = self.outcomes.find(message_id, now) is not None
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

    def pause(self, queue: str) -> None:
        self.paused.setdefault(queue, self.now())

    def resume(self, queue: str) -> None:
        self.paused.pop(queue, None)
        self.waiting_for_work.wake(queue)

    # Changes of messages that wait.

    def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        now = self.now()
        if self.scheduled.next_time() <= now:
            self.promote(now)
        return [self._edit(message_id, changes, now) for message_id in ids]

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        entry = self.entries.get(message_id)
        if entry is None or not self._may_edit(entry):
            return False
        due_at = new_due_time(entry.due_at, changes, now)
        expires_at = self._new_expiry(entry, changes, due_at)
        message = edited(entry.message, changes)
        if message != entry.message or due_at != entry.due_at or expires_at != entry.expires_at:
            self._replace(entry, message, due_at, expires_at, now)
        return True

    def _may_edit(self, entry: Entry) -> bool:
        return entry.state is READY or entry.state is SCHEDULED

    def _new_expiry(self, entry: Entry, changes: Changes, due_at: float) -> float:
        expires = entry.message.expires if changes.expires is None else changes.expires
        if expires is None or (changes.expires is None and entry.expires_at == inf):
            return inf
        return due_at + expires

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        """Give a message another entry, so that all places of the former one are leftovers."""
        changed = copy(entry)
        self._leave_waiting(entry)
        entry.state = State.CANCELLED
        self._never_expires(entry)
        changed.message = message
        changed.queue = self.queue(message.queue)
        changed.group = self.group(changed.queue, message.task)
        changed.due_at = due_at
        changed.expires_at = inf
        self.entries[message.id] = changed
        if expires_at != inf:
            self._expires_at(changed, expires_at)
        self._make_waiting(changed, now)

    # Dead letters.

    def requeue(self, ids: Sequence[bytes]) -> list[bool]:
        now = self.now()
        return [self._requeue(message_id, None, now) for message_id in ids]

    def requeue_edited(self, message: Message) -> bool:
        check_numbers(message)
        self.queue(message.queue)
        return self._requeue(message.id, message, self.now())

    def _requeue(self, message_id: bytes, edited: Message | None, now: float) -> bool:
        entry = self.entries.get(message_id)
        if entry is None or entry.state is not DEAD:
            return False
        message = entry.message if edited is None else edited
        unique = message.unique
        if unique is not None and unique.until is not UniqueUntil.PERIOD:
            hold = self.keys.current(unique.key, now)
            if hold is not None and hold.holder != message_id:
                return False
            self.keys.give(message_id, unique, now)
        self._leave_dead(entry)
        self._reset(entry, message, now)
        self._make_ready(entry)
        return True

    def _reset(self, entry: Entry, message: Message, now: float) -> None:
        entry.message = message
        entry.queue = self.queue(message.queue)
        entry.group = self.group(entry.queue, message.task)
        entry.about = b""
        entry.attempt = entry.lost = 0
        entry.error = None
        entry.mismatched_at = None
        entry.due_at = now
        if message.expires is not None:
            self._expires_at(entry, now + message.expires)

    def delete_dead(self, ids: Sequence[bytes]) -> list[bool]:
        return [self._delete_dead(message_id) for message_id in ids]

    def _delete_dead(self, message_id: bytes) -> bool:
        entry = self.entries.get(message_id)
        if entry is None or entry.state is not DEAD:
            return False
        self._delete(entry)
        return True

    # Purge.

    def purge(
        self, name: str, states: Collection[State], after: Position
    ) -> tuple[int, Position | None]:
        """Delete one piece; return the number of messages, and the position at which the next piece begins."""
        self.promote(self.now())
        queue = self.queues.get(name)
        if queue is None:
            return 0, None
        purged = self._purged_states(states)
        doomed, position = collect(
            self._purged_listings(queue, purged, after),
            lambda entry: entry.queue is queue and self._may_purge(entry, purged),
            limit=PURGED_AT_ONCE,
        )
        for entry in doomed:
            self.keys.purged(entry.message)
            self._delete(entry)
        return len(doomed), position

    def _purged_listings(
        self, queue: Queue, states: Collection[State], after: Position
    ) -> Iterator[tuple[int, Iterator[tuple[int, Entry]]]]:
        """Iterate over the listings of a queue, and at last that of all dead letters."""
        number, place = after
        listings: list[tuple[int, Listing]] = []
        for group in queue.groups.values():
            if READY in states:
                listings.append((2 * group.number, group.ready))
            if SCHEDULED in states:
                listings.append((2 * group.number + 1, group.scheduled))
        if DEAD in states:
            listings.append((_ALL_DEAD, self.dead))
        for each, listing in listings:
            if each >= number:
                yield each, listing.after(place if each == number else 0)

    def _purged_states(self, states: Collection[State]) -> frozenset[State]:
        return frozenset(states) & {READY, SCHEDULED, DEAD}

    def _may_purge(self, entry: Entry, states: Collection[State]) -> bool:
        return entry.state in states
