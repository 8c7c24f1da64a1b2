"""Leases: the calls of workers, which reserve messages, renew their leases and settle them."""

from collections.abc import Mapping, Sequence
from math import inf

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.numbers import can_settle, check_lease, is_finite
from asynctasq.drivers.memory.entry import LEASED, Entry, Owner
from asynctasq.drivers.memory.upkeep import Upkeep
from asynctasq.message import NO_RESULTS, Delivery, Lease, State
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)


class Leases(Upkeep):
    """The rules of leases. A lease belongs to an owner, and its token distinguishes it from later ones."""

    bytes_at_once = BYTES_AT_ONCE
    """Replaced by tests."""

    # Reserve.

    def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        check_lease(lease)
        now = self.now()
        self._note_call(now, lease)
        holder = self.owners.get(owner)
        if holder is not None:  # first, so that the owner's own leases are not reclaimed
            self._renew_by_reserve(holder, now + lease)
        self._upkeep(now)
        deliveries: list[Delivery] = []
        size = 0
        for name, most in queues.items():
            queue = self.queues.get(name)
            if queue is None or self._is_paused(name):
                continue
            end = len(deliveries) + self._room(most, limit - len(deliveries))
            while len(deliveries) < end:
                entry = queue.take()
                if entry is None:
                    break
                size += len(entry.message.body)
                if size > self.bytes_at_once and deliveries:
                    queue.push(entry)
                    return deliveries
                self._leave_ready(entry)
                if entry.expires_at != inf and self._has_expired(entry, now):
                    self._make_dead(entry, Reason.EXPIRED, None, now)
                    self._add_news(entry, Reason.EXPIRED)
                    continue
                if holder is None:
                    holder = self._new_owner(owner, now + lease)
                resumed = entry.token != 0
                self._make_leased(entry, holder, now)
                deliveries.append(self._delivery(entry, now, resumed))
            queue.tidy()
        return deliveries

    def _room(self, most: int, left: int) -> int:
        """Return the number of messages that may be taken from a queue."""
        return min(most, left)

    def _is_paused(self, queue: str) -> bool:
        return queue in self.paused

    def _has_expired(self, entry: Entry, now: float) -> bool:
        return entry.expires_at <= now

    def _new_owner(self, name: str, deadline: float) -> Owner:
        """Add an owner, with its first delivery. It is removed after its deadline."""
        self.owners[name] = owner = Owner(name, deadline, next(self.places))
        self._mind_deadline(deadline)
        return owner

    def _renew_by_reserve(self, owner: Owner, deadline: float) -> None:
        owner.deadline = max(owner.deadline, deadline)
        self._mind_deadline(owner.deadline)

    def _delivery(self, entry: Entry, now: float, resumed: bool) -> Delivery:
        message = entry.message
        return Delivery(
            message,
            Lease(message.id, entry.token),
            entry.attempt,
            entry.lost,
            entry.enqueued_at,
            0.0 if entry.mismatched_at is None else max(now - entry.mismatched_at, 0.0),
            NO_RESULTS,
            entry.due_at,
            resumed,
        )

    # Extend.

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        check_lease(lease)
        now = self.now()
        self._note_call(now, lease)
        owner = self.owners.get(name)
        if owner is None:
            return [LeaseState.LOST] * len(leases)
        owner.deadline = now + lease
        self._mind_deadline(owner.deadline)
        if not self._is_reclaiming_paused(now):
            self._give_back_unknown(owner, leases, lease, now)
        return [self._lease_state(owner, known) for known in leases]

    def _give_back_unknown(
        self, owner: Owner, leases: Sequence[Lease], span: float, now: float
    ) -> None:
        """Release messages that were leased to an owner that never received them."""
        named = {(lease.id, lease.token) for lease in leases}
        for entry in list(owner.leases.values()):
            # One that was leased in the future was leased before the clock was set back.
            is_new = abs(now - entry.leased_at) < span
            if is_new or (entry.message.id, entry.token) in named:
                continue
            cancelling = entry.cancelling
            self._leave_lease(entry)
            if cancelling:
                self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            else:
                self._make_ready(entry)

    def _lease_state(self, owner: Owner, lease: Lease) -> LeaseState:
        entry = owner.leases.get(lease.id)
        held = entry is not None and self._is_current(entry, lease)
        return LeaseState.HELD if held else LeaseState.LOST

    # The process of an owner has crashed.

    def end_owner(self, name: str) -> None:
        owner = self.owners.get(name)
        if owner is not None:
            self._reclaim_all(owner, self.now())

    # Settle.

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        now = self.now()
        return [self._settle(settlement, now) for settlement in settlements]

    def _settle(self, settlement: Settlement, now: float) -> Settled:
        entry = self.entries.get(settlement.lease.id)
        if entry is None or not self._is_current(entry, settlement.lease):
            return Settled.LOST
        if isinstance(settlement, Complete):  # nearly all; a pattern takes several times as long
            ttl = settlement.result_ttl
            if not is_finite(ttl):
                return Settled.REFUSED
            self._leave_lease(entry)
            entry.about = settlement.about
            self._complete(entry, settlement.result, ttl, now)
            return Settled.DONE
        if not can_settle(settlement):
            return Settled.REFUSED
        cancelling = entry.cancelling
        self._leave_lease(entry)
        match settlement:
            case Retry() | Release() if cancelling:
                self._finish(entry, State.CANCELLED, now, entry.message.result_ttl)
            case Retry():
                self._retry(entry, settlement, now)
            case Fail():
                entry.about = settlement.about
                self._fail(entry, settlement, now)
            case Release():
                self._release(entry, settlement, now)
            case Cancelled(result_ttl=ttl):
                entry.about = settlement.about
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
        self._make_dead(entry, fail.reason, fail.error, now)

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        """Without a delay it takes its old place."""
        if release.mismatched and entry.mismatched_at is None:
            entry.mismatched_at = now
        if release.mismatched and release.error is not None:
            entry.error = release.error
        if release.delay > 0.0:
            entry.due_at = now + release.delay
            self._make_scheduled(entry)
        else:
            self._make_ready(entry)

    # Calls of a worker while it holds a lease.

    def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        for lease, word in updates:
            entry = self.entries.get(lease.id)
            if entry is not None and self._is_current(entry, lease):
                entry.progress = word

    def cancel_requests(self, owner: str) -> list[Lease]:
        holder = self.owners.get(owner)
        if holder is None:
            return []
        flagged = (entry for entry in holder.leases.values() if entry.cancelling)
        return [Lease(entry.message.id, entry.token) for entry in flagged]
