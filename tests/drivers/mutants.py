"""Seeded bugs: memory drivers that break one rule each, for testing the tests of drivers.

Each mutant says in its docstring what it does wrong; `driver_of` makes a driver of it.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TypeVar

from asynctasq.contracts.capabilities import CancelOutcome, Outcome
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.outages import UpkeepMark
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.entry import Entry, Owner
from asynctasq.drivers.memory.keys import UniqueKeys, UniqueLock
from asynctasq.drivers.memory.listing import Position
from asynctasq.drivers.memory.order import Queue
from asynctasq.drivers.memory.outcomes import Outcomes
from asynctasq.message import Delivery, Lease, Message, OnConflict, State, Unique
from asynctasq.settlement import (
    ErrorInfo,
    Fail,
    LeaseState,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)

MUTANTS: dict[type[Store], str] = {}


class OneLane(Queue):
    """A queue that knows no priorities."""

    def rank(self, entry: Entry) -> int:
        return 0


def _copy(message: Message, *, body: bytes | None = None, headers: bool = True) -> Message:
    copied = copy(message)
    if body is not None:
        copied.body = body  # type: ignore[misc]  # nobody else has this copy
    if not headers:
        copied.headers = {}  # type: ignore[misc]  # same
    return copied


T = TypeVar("T", bound=Store | UniqueKeys | Outcomes)


def mutant(theme: str) -> Callable[[type[T]], type[T]]:
    """Register a store that is broken, or a part that breaks one.

    Args:
        theme: the part of the suite that must catch it.
    """

    def register(broken: type[T]) -> type[T]:
        MUTANTS[_store_with(broken)] = theme
        return broken

    return register


def _store_with(broken: type) -> type[Store]:
    if issubclass(broken, Store):
        return broken
    part = "keys_class" if issubclass(broken, UniqueKeys) else "outcomes_class"
    return type(broken.__name__, (Store,), {part: broken, "__doc__": broken.__doc__})


def driver_of(store: type[Store]) -> type[MemoryDriver]:
    """Return a memory driver class that uses a broken store."""
    return type(store.__name__, (MemoryDriver,), {"store_class": store})


# Enqueue.


@mutant("due")
class DelayIgnored(Store):
    """A delayed message is ready at once."""

    def _first_due(self, message: Message, now: float) -> float:
        return now if message.eta is None else super()._first_due(message, now)


@mutant("due")
class EtaIgnored(Store):
    """A message with an eta is ready at once."""

    def _first_due(self, message: Message, now: float) -> float:
        return now + message.delay


@mutant("enqueue")
class EnqueueNotIdempotent(Store):
    """A repeated enqueue makes a second message of the same id."""

    def _is_known(self, message_id: bytes, now: float) -> bool:
        return False


@mutant("enqueue")
class IdForgottenAtTheEnd(Store):
    """The id of a finished message is not known any more."""

    def _is_known(self, message_id: bytes, now: float) -> bool:
        return message_id in self.entries


@mutant("enqueue")
class OutcomeKeptTooShort(Outcomes):
    """An id without result is forgotten before 60 s are over."""

    ttl_least = 0.0


@mutant("enqueue")
class OutcomeKeptNotQuiteLongEnough(Outcomes):
    """An id without result is forgotten after 40 s."""

    ttl_least = 40.0


@mutant("enqueue")
class ChunkNotAtomic(Store):
    """The messages before a bad message of a chunk are enqueued."""

    def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        answers = []
        for message in messages:
            answers += super().enqueue([message])
        return answers


@mutant("enqueue")
class HeadersDropped(Store):
    """A field that drivers only carry is lost."""

    def _new_entry(self, message: Message, now: float) -> Entry:
        entry = super()._new_entry(message, now)
        entry.message = _copy(message, headers=False)
        return entry


# Unique keys.


@mutant("unique")
class UniqueKeyNotHeld(UniqueKeys):
    """Two messages hold one key."""

    def current(self, key: str, now: float) -> UniqueLock | None:
        return None


@mutant("unique")
class UniqueKeyNeverFreed(UniqueKeys):
    """A key is held for ever."""

    def started(self, message: Message) -> None:
        pass

    def ended(self, message: Message) -> None:
        pass

    def purged(self, message: Message) -> None:
        pass


@mutant("unique")
class UniqueKeyFreedAtStart(UniqueKeys):
    """A key held until settled is free while its message runs."""

    def started(self, message: Message) -> None:
        self.ended(message)


@mutant("unique")
class UniqueKeyKeptPastStart(UniqueKeys):
    """A key held until started is held until settled."""

    def started(self, message: Message) -> None:
        pass


@mutant("unique")
class PeriodEndsWithItsMessage(UniqueKeys):
    """A key held for a period is free when its message ends."""

    def ended(self, message: Message) -> None:
        self.purged(message)


@mutant("unique")
class PeriodNeverEnds(UniqueKeys):
    """A key held for a period is held for ever."""

    def current(self, key: str, now: float) -> UniqueLock | None:
        return self.holds.get(key)

    def forget(self, now: float, *, limit: int) -> None:
        pass


@mutant("unique")
class RunningHolderReplaced(Store):
    """A message that runs is replaced by a newcomer with its key."""

    def _conflict(self, newcomer: Entry, unique: Unique, now: float) -> bytes | None:
        answer = super()._conflict(newcomer, unique, now)
        hold = self.keys.current(unique.key, now)
        holder = None if hold is None else self.entries.get(hold.holder)
        replace = unique.on_conflict.value == "replace"
        return None if replace and holder and holder.state is State.LEASED else answer


@mutant("unique")
class ConflictNotExtended(Store):
    """On conflict, extend only skips."""

    def _conflict(self, newcomer: Entry, unique: Unique, now: float) -> bytes | None:
        hold = self.keys.current(unique.key, now)
        if hold is not None and unique.on_conflict is OnConflict.EXTEND:
            return hold.holder
        return super()._conflict(newcomer, unique, now)


# Reserve.


@mutant("order")
class PriorityIgnored(Store):
    """Messages of all priorities stand in one line."""

    def queue(self, name: str) -> Queue:
        if name not in self.queues:
            self.queues[name] = OneLane(name)
        return self.queues[name]


@mutant("due")
class DeliveredBeforeDue(Store):
    """A scheduled message is ready a little early."""

    def promote(self, now: float, *, limit: int | None = None) -> None:
        super().promote(now + 50.0, limit=limit)


@mutant("due")
class NeverPromoted(Store):
    """A scheduled message stays scheduled."""

    def promote(self, now: float, *, limit: int | None = None) -> None:
        pass


@mutant("pause")
class PauseIgnored(Store):
    """A paused queue is reserved from."""

    def _is_paused(self, queue: str) -> bool:
        return False


@mutant("order")
class QueueCapIgnored(Store):
    """More is taken of a queue than asked for."""

    def _room(self, most: int, left: int) -> int:
        return left


@mutant("order")
class LimitIgnored(Store):
    """More is taken in all than asked for."""

    def _room(self, most: int, left: int) -> int:
        return most


@mutant("order")
class QueuesInAnyOrder(Store):
    """The queues are served in the order of their names, not in the order given."""

    def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        by_name = dict(sorted(queues.items()))
        return super().reserve(by_name, limit=limit, owner=owner, lease=lease)


@mutant("lease")
class TokenReused(Store):
    """Every lease of a message has the same token."""

    def _next_token(self, entry: Entry, now: float) -> int:
        return 1


@mutant("lease")
class TokenCounts(Store):
    """Tokens start from one again when the store has forgotten the message."""

    def _next_token(self, entry: Entry, now: float) -> int:
        return entry.token + 1


@mutant("due")
class NeverResumed(Store):
    """A delivery does not say that its message was leased before."""

    def _delivery(self, entry: Entry, now: float, resumed: bool) -> Delivery:
        return super()._delivery(entry, now, False)


@mutant("due")
class DueAtEnqueue(Store):
    """A delivery says that its message was due when it was enqueued."""

    def _delivery(self, entry: Entry, now: float, resumed: bool) -> Delivery:
        return replace(super()._delivery(entry, now, resumed), due_at=entry.enqueued_at)


@mutant("order")
class DeliveredTwice(Store):
    """One message is delivered twice by the same reserve."""

    def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        deliveries = super().reserve(queues, limit=limit, owner=owner, lease=lease)
        return deliveries + deliveries[: limit - len(deliveries)]


@mutant("lease")
class LeaseEndsEarly(Store):
    """A message is taken from its owner before the lease is over."""

    def _upkeep(self, now: float) -> None:
        self._reclaim_ended(now + 50.0)
        super()._upkeep(now)


@mutant("lease")
class LeaseShortenedByReserve(Store):
    """A later reserve with a shorter lease shortens the owner's other leases."""

    def _renew_by_reserve(self, owner: Owner, deadline: float) -> None:
        owner.deadline = deadline
        self._mind_deadline(deadline)


# Expiry.


@mutant("expiry")
class ExpiryIgnored(Store):
    """A message that was not started in time is delivered."""

    def _has_expired(self, entry: Entry, now: float) -> bool:
        return False

    def _expire(self, now: float) -> None:
        pass


@mutant("expiry")
class ExpiryCountsFromEnqueue(Store):
    """The time of a delayed message to expire begins before it is due."""

    def _new_entry(self, message: Message, now: float) -> Entry:
        entry = super()._new_entry(message, now)
        if message.expires is not None:
            entry.expires_at = now + message.expires
        return entry


@mutant("expiry")
class ExpiresAfterStart(Store):
    """A message that was started expires when it waits again."""

    def _make_leased(self, entry: Entry, owner: Owner, now: float) -> None:
        expires_at = entry.expires_at
        super()._make_leased(entry, owner, now)
        entry.expires_at = expires_at

    def _expire(self, now: float) -> None:
        pass


# Leases that end.


@mutant("lease")
class LostNotCounted(Store):
    """A lease that ended without renewal is not counted."""

    def _reclaim(self, entry: Entry, now: float) -> None:
        entry.lost -= 1
        super()._reclaim(entry, now)


@mutant("lease")
class MaxLostIgnored(Store):
    """A message that kills its workers is delivered for ever."""

    def _is_lost_for_good(self, entry: Entry) -> bool:
        return False


@mutant("lease")
class MaxLostOffByOne(Store):
    """A message dies one lost lease too early."""

    def _is_lost_for_good(self, entry: Entry) -> bool:
        return entry.lost >= entry.message.max_lost


@mutant("lease")
class LostCountsAttempt(Store):
    """A lost lease counts as an attempt."""

    def _reclaim(self, entry: Entry, now: float) -> None:
        entry.attempt += 1
        super()._reclaim(entry, now)


@mutant("order")
class ReclaimLosesPlace(Store):
    """A reclaimed message goes to the end of its queue."""

    def _reclaim(self, entry: Entry, now: float) -> None:
        entry.due_at = now
        super()._reclaim(entry, now)


@mutant("lease")
class NeverReclaimed(Store):
    """What a dead worker had leased stays leased."""

    def _reclaim_ended(self, now: float) -> None:
        pass


@mutant("cancel")
class FlaggedReclaimedToReady(Store):
    """A lost message that was to be cancelled runs again."""

    def _reclaim(self, entry: Entry, now: float) -> None:
        entry.cancelling = False
        super()._reclaim(entry, now)


@mutant("lease")
class ExtendDoesNotExtend(Store):
    """A lease ends although it is renewed."""

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        owner = self.owners.get(name)
        deadline = None if owner is None else owner.deadline
        answers = super().extend(name, leases, lease=lease)
        if owner is not None and deadline is not None:
            owner.deadline = deadline
        return answers


@mutant("lease")
class ExtendRevivesLost(Store):
    """A lease that was reclaimed is held again after an extend."""

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        super().extend(name, leases, lease=lease)
        return [LeaseState.HELD for _ in leases]


@mutant("lease")
class OmittedLeasesKept(Store):
    """What an owner never learned of stays leased to it."""

    def _give_back_unknown(
        self, owner: Owner, leases: Sequence[Lease], span: float, now: float
    ) -> None:
        pass


@mutant("lease")
class FreshLeasesGivenBack(Store):
    """A lease that is not named is given back although its reserve may still be under way."""

    def _give_back_unknown(
        self, owner: Owner, leases: Sequence[Lease], span: float, now: float
    ) -> None:
        super()._give_back_unknown(owner, leases, 0.0, now)


# Settle.


@mutant("lease")
class StaleTokenAccepted(Store):
    """A worker that lost its lease may still settle."""

    def _is_current(self, entry: Entry, lease: Lease) -> bool:
        return entry.state is State.LEASED


@mutant("settle")
class UnleasedSettled(Store):
    """A message that was given back may be settled with the token of its last lease."""

    def _settle(self, settlement: Settlement, now: float) -> Settled:
        entry = self.entries.get(settlement.lease.id)
        if entry and entry.state is State.READY and entry.token == settlement.lease.token:
            self._leave_waiting(entry)
            self._complete(entry, None, 0.0, now)
            return Settled.DONE
        return super()._settle(settlement, now)


@mutant("settle")
class AnsweredDoneTwice(Store):
    """The second settlement of a lease is told that it is done."""

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        super().settle(settlements)
        return [Settled.DONE for _ in settlements]


@mutant("settle")
class AttemptNotCounted(Store):
    """A retry does not count as an attempt."""

    def _retry(self, entry: Entry, retry: Retry, now: float) -> None:
        entry.attempt -= 1
        super()._retry(entry, retry, now)


@mutant("settle")
class RetryDelayIgnored(Store):
    """A retry is ready at once."""

    def _retry(self, entry: Entry, retry: Retry, now: float) -> None:
        super()._retry(entry, Retry(retry.lease, 0.0, retry.error), now)


@mutant("lease")
class RetryDropsError(Store):
    """The error of a failed attempt is not remembered."""

    def _retry(self, entry: Entry, retry: Retry, now: float) -> None:
        super()._retry(entry, retry, now)
        entry.error = None


@mutant("settle")
class ReleaseCountsAttempt(Store):
    """A release counts as an attempt."""

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        entry.attempt += 1
        super()._release(entry, release, now)


@mutant("order")
class ReleaseLosesPlace(Store):
    """A released message goes to the end of its queue."""

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        entry.due_at = now
        super()._release(entry, release, now)


@mutant("settle")
class ReleaseDelayIgnored(Store):
    """A release with a delay is ready at once."""

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        super()._release(entry, Release(release.lease, 0.0, release.mismatched), now)


@mutant("settle")
class MismatchForgotten(Store):
    """The time since a message first fitted no worker starts anew with each release."""

    def _release(self, entry: Entry, release: Release, now: float) -> None:
        entry.mismatched_at = None
        super()._release(entry, release, now)


@mutant("settle")
class CompletionKeepsRow(Store):
    """A completed message is ready again."""

    def _complete(self, entry: Entry, result: bytes | None, ttl: float, now: float) -> None:
        self._make_ready(entry)


@mutant("results")
class ResultDropped(Store):
    """The result of a completed message is not stored."""

    def _complete(self, entry: Entry, result: bytes | None, ttl: float, now: float) -> None:
        super()._complete(entry, None, ttl, now)


@mutant("results")
class ResultKeptForEver(Outcomes):
    """An outcome is never forgotten."""

    def find(self, message_id: bytes, now: float) -> Outcome | None:
        return super().find(message_id, 0.0)

    def forget(self, now: float, *, limit: int) -> None:
        pass


@mutant("dead_letters")
class UnattemptedFailCounts(Store):
    """A message that could not run counts an attempt."""

    def _fail(self, entry: Entry, fail: Fail, now: float) -> None:
        super()._fail(entry, Fail(fail.lease, fail.reason, fail.error), now)


@mutant("settle")
class FailedMessageVanishes(Store):
    """A message that failed for good is not kept."""

    def _fail(self, entry: Entry, fail: Fail, now: float) -> None:
        super()._fail(entry, fail, now)
        self._delete(entry)


# Dead letters.


@mutant("dead_letters")
class DeadLetterDropsBody(Store):
    """A dead letter has lost its body."""

    def _make_dead(self, entry: Entry, reason: Reason, error: ErrorInfo | None, now: float) -> None:
        entry.message = _copy(entry.message, body=b"")
        super()._make_dead(entry, reason, error, now)


@mutant("dead_letters")
class DeadLetterDropsError(Store):
    """A dead letter does not say what went wrong."""

    def _make_dead(self, entry: Entry, reason: Reason, error: ErrorInfo | None, now: float) -> None:
        super()._make_dead(entry, reason, None, now)


@mutant("dead_letters")
class DeadLettersKeptForEver(Store):
    """Dead letters are never trimmed."""

    def _trim_dead(self, now: float) -> None:
        pass


@mutant("dead_letters")
class RequeueKeepsAttempts(Store):
    """A requeued message has its attempts used up."""

    def _reset(self, entry: Entry, message: Message, now: float) -> None:
        attempt = entry.attempt
        super()._reset(entry, message, now)
        entry.attempt = attempt


@mutant("dead_letters")
class RequeueKeepsLost(Store):
    """A requeued message dies at its next lost lease."""

    def _reset(self, entry: Entry, message: Message, now: float) -> None:
        lost = entry.lost
        super()._reset(entry, message, now)
        entry.lost = lost


@mutant("unique")
class RequeueIgnoresUniqueKey(Store):
    """A requeued message runs beside the holder of its key."""

    def _requeue(self, message_id: bytes, edited: Message | None, now: float) -> bool:
        holds, self.keys.holds = self.keys.holds, {}
        try:
            return super()._requeue(message_id, edited, now)
        finally:
            self.keys.holds = {**self.keys.holds, **holds}


@mutant("dead_letters")
class RequeueAnything(Store):
    """A waiting message is said to be requeued."""

    def _requeue(self, message_id: bytes, edited: Message | None, now: float) -> bool:
        return super()._requeue(message_id, edited, now) or message_id in self.entries


# Cancel and purge.


@mutant("cancel")
class CancelFlagIgnored(Store):
    """A running message cannot be cancelled."""

    def _flag(self, entry: Entry) -> None:
        pass


@mutant("cancel")
class FlagDoesNotStopRetry(Store):
    """A cancelled message is retried."""

    def _settle(self, settlement: Settlement, now: float) -> Settled:
        entry = self.entries.get(settlement.lease.id)
        if entry is not None and isinstance(settlement, Retry | Release):
            entry.cancelling = False
        return super()._settle(settlement, now)


@mutant("cancel")
class CancelLeavesNoOutcome(Store):
    """Nobody learns that a waiting message was cancelled."""

    def _cancel_waiting(self, entry: Entry, now: float) -> None:
        super()._cancel_waiting(entry, now)
        self.outcomes = Outcomes(self.settings.outcome_limit)


@mutant("cancel")
class CancelAlwaysSucceeds(Store):
    """A finished message is said to be cancelled."""

    def _cancel(self, message_id: bytes, now: float) -> CancelOutcome:
        outcome = super()._cancel(message_id, now)
        return CancelOutcome.CANCELLED if outcome is CancelOutcome.TOO_LATE else outcome


@mutant("purge")
class PurgeTakesLeased(Store):
    """A purge deletes messages that run."""

    def purge(
        self, name: str, states: Collection[State], after: Position
    ) -> tuple[int, Position | None]:
        for entry in list(self.entries.values()):
            if entry.queue.name == name and entry.state is State.LEASED:
                self._leave_lease(entry)
                self._make_ready(entry)
        return super().purge(name, states, after)


@mutant("purge")
class PurgeTakesAllStates(Store):
    """A purge deletes what it was not asked to."""

    def _purged_states(self, states: Collection[State]) -> frozenset[State]:
        return frozenset({State.READY, State.SCHEDULED, State.DEAD})


@mutant("unique")
class PurgeKeepsKeys(UniqueKeys):
    """The unique keys of purged messages stay held."""

    def purged(self, message: Message) -> None:
        pass


@mutant("purge")
class PurgeLeavesOneBehind(Store):
    """One message survives each purge."""

    def _may_purge(self, entry: Entry, states: Collection[State]) -> bool:
        first = next(iter(self.entries.values()))
        return entry is not first and super()._may_purge(entry, states)


@mutant("purge")
class PurgeEndsAfterOnePiece(Store):
    """A purge of many messages leaves those beyond its first piece."""

    def purge(
        self, name: str, states: Collection[State], after: Position
    ) -> tuple[int, Position | None]:
        return super().purge(name, states, after)[0], None


@mutant("progress")
class StaleProgressAccepted(Store):
    """A worker that lost its lease overwrites the progress of the one that has it."""

    def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        for lease, word in updates:
            entry = self.entries.get(lease.id)
            if entry is not None:
                entry.progress = word


# News, and what is kept with an outcome.


@mutant("news")
class LossesAreNoNews(Store):
    """A lease that ended is not reported."""

    def _reclaim(self, entry: Entry, now: float) -> None:
        super()._reclaim(entry, now)
        self.news.clear()


@mutant("news")
class ExpiryIsNoNews(Store):
    """A message that expired is not reported."""

    def _expire(self, now: float) -> None:
        super()._expire(now)
        self.news.clear()


@mutant("results")
class AboutOutlivesItsLife(Store):
    """A requeued message that is lost has the `about` of its first end."""

    def _reset(self, entry: Entry, message: Message, now: float) -> None:
        about = entry.about
        super()._reset(entry, message, now)
        entry.about = about


@mutant("listings")
class PauseBeginsAnew(Store):
    """A queue that is paused twice was paused at the second time."""

    def pause(self, queue: str) -> None:
        self.paused[queue] = self.now()


@mutant("listings")
class PlacesMove(Store):
    """A listing starts from its end again when messages leave it."""

    def _leave_ready(self, entry: Entry) -> None:
        super()._leave_ready(entry)
        for each in self.entries.values():
            if each.state is State.READY and each is not entry:
                entry.queue.groups[each.message.task].ready.add(each, next(self.places))


@mutant("inspect")
class FoundByAnyDigits(Store):
    """A search for the end of an id finds ids that contain it anywhere."""

    @staticmethod
    def has_part(message_id: bytes, part: str) -> bool:
        return part in message_id.hex()


# Outages, ended owners, bounds.


@mutant("outage")
class OwnLeasesTaken(Store):
    """A reserve reclaims the leases of its own owner before it renews them."""

    def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        self._upkeep(self.now())
        return super().reserve(queues, limit=limit, owner=owner, lease=lease)


@mutant("outage")
class NoPauseAfterAnOutage(Store):
    """Leases are reclaimed by the first reserve after an outage."""

    def _is_reclaiming_paused(self, now: float) -> bool:
        return False


@mutant("outage")
class ExtendNoticesNoOutage(Store):
    """An extend refreshes the mark, so that the reserve after it finds no outage."""

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        self._mark = UpkeepMark(self.now())
        return super().extend(name, leases, lease=lease)


@mutant("outage")
class StraysReleasedDuringThePause(Store):
    """A lease whose delivery is under way while the clock jumps is released as one that never arrived."""

    def extend(self, name: str, leases: Sequence[Lease], *, lease: float) -> list[LeaseState]:
        answers = super().extend(name, leases, lease=lease)
        owner = self.owners.get(name)
        if owner is not None:
            self._give_back_unknown(owner, leases, lease, self.now())
        return answers


@mutant("outage")
class NoStraysReleasedAfterAnOutage(Store):
    """A lease that never arrived is kept for ever if there has been an outage."""

    def _give_back_unknown(
        self, owner: Owner, leases: Sequence[Lease], span: float, now: float
    ) -> None:
        if self._mark is None or not self._mark.paused_until:
            super()._give_back_unknown(owner, leases, span, now)


@mutant("outage")
class NoPauseAfterAClockIsSetBack(Store):
    """A lease whose delivery is under way while the clock is set back is released at once."""

    def _note_call(self, now: float, lease: float) -> None:
        is_back = self._mark is not None and self._mark.at > now
        super()._note_call(now, lease)
        if is_back:
            self._mark = UpkeepMark(now)


@mutant("outage")
class EachLateCallIsAnOutage(Store):
    """A lone worker that calls seldom never reclaims a lease."""

    def _note_call(self, now: float, lease: float) -> None:
        if self._mark is None or now - self._mark.at > lease / 2:
            self._mark = UpkeepMark(now, now + lease / 2)


@mutant("outage")
class PauseStopsAllUpkeep(Store):
    """Nothing falls due or expires during the pause."""

    def _upkeep(self, now: float) -> None:
        if not self._is_reclaiming_paused(now):
            super()._upkeep(now)


@mutant("outage")
class PauseKeepsEndedOwners(Store):
    """An owner cannot be ended during the pause."""

    def end_owner(self, name: str) -> None:
        if not self._is_reclaiming_paused(self.now()):
            super().end_owner(name)


@mutant("outage")
class WaitForgetsThePause(Store):
    """A wait does not return when the pause ends."""

    def next_event(self, now: float) -> float:
        event = super().next_event(now)
        return math.inf if self._is_reclaiming_paused(now) else event


@mutant("workers")
class EndedOwnerNotCounted(Store):
    """The leases of an ended owner do not count as lost."""

    def end_owner(self, name: str) -> None:
        owner = self.owners.get(name)
        for entry in [] if owner is None else list(owner.leases.values()):
            self._leave_lease(entry)
            self._make_ready(entry)


@mutant("workers")
class AllOwnersEnded(Store):
    """The leases of every owner end."""

    def end_owner(self, name: str) -> None:
        for owner in list(self.owners):
            super().end_owner(owner)


@mutant("workers")
class OneLeaseEnded(Store):
    """Only a part of the owner's leases end."""

    def end_owner(self, name: str) -> None:
        owner = self.owners.get(name)
        for entry in [] if owner is None else list(owner.leases.values())[:1]:
            self._reclaim(entry, self.now())


@mutant("bounds")
class ReserveWithoutBound(Store):
    """A reserve gives any number of large messages."""

    bytes_at_once = 1 << 60


@mutant("bounds")
class LargeMessageNeverDelivered(Store):
    """A message above the bound stops its queue."""

    def _room(self, most: int, left: int) -> int:
        large = any(len(entry.message.body) > self.bytes_at_once for entry in self.entries.values())
        return 0 if large else super()._room(most, left)
