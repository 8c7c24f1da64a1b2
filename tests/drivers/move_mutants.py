"""Seeded bugs in changes of messages that wait: each breaks a rule that the suite must check."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from math import inf

from asynctasq.contracts.capabilities.move import Changes
from asynctasq.drivers.memory.brokered import StateStore as Store
from asynctasq.drivers.memory.entry import LEASED, Entry
from asynctasq.message import Message
from tests.drivers.mutants import MUTANTS


def broken(store: type[Store]) -> type[Store]:
    """Register a store that is broken."""
    MUTANTS[store] = "move"
    return store


@broken
class EditsRunningMessages(Store):
    """A running message is reported as changed."""

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        entry = self.entries.get(message_id)
        return super()._edit(message_id, changes, now) or (
            entry is not None and entry.state is LEASED
        )


@broken
class RepeatedEditIsFalse(Store):
    """A message that has its values already counts as not changed."""

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        entry = self.entries.get(message_id)
        done = super()._edit(message_id, changes, now)
        return done and self.entries.get(message_id) is not entry


@broken
class OnlyReadyMessagesMove(Store):
    """Scheduled messages are left out."""

    def _may_edit(self, entry: Entry) -> bool:
        return super()._may_edit(entry) and entry.due_at <= self.now()


@broken
class AnswersOutOfOrder(Store):
    """The answers are those of sorted IDs."""

    def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        return super().edit(sorted(ids), changes)


@broken
class ForgetsThePast(Store):
    """A message that moves begins anew."""

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        entry.attempt = entry.lost = 0
        super()._replace(entry, message, due_at, expires_at, now)


@broken
class ForgetsTheError(Store):
    """A message that moves loses its error."""

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        entry.error = None
        super()._replace(entry, message, due_at, expires_at, now)


@broken
class EnqueuedAgain(Store):
    """A message that moves counts as enqueued now."""

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        entry.enqueued_at = now
        super()._replace(entry, message, due_at, expires_at, now)


@broken
class FreesTheKey(Store):
    """A message that moves loses its unique key."""

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        super()._replace(entry, message, due_at, expires_at, now)
        self.keys.ended(message)


@broken
class LeavesACopy(Store):
    """A message that moves stays in its old place, too."""

    def _replace(
        self, entry: Entry, message: Message, due_at: float, expires_at: float, now: float
    ) -> None:
        left = copy(entry)
        super()._replace(entry, message, due_at, expires_at, now)
        left.queue.add(left, next(self.places))


@broken
class KeepsThePriority(Store):
    """The priority does not change."""

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        return super()._edit(message_id, replace(changes, priority=None), now)


@broken
class KeepsTheDueTime(Store):
    """The due time does not change."""

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        return super()._edit(message_id, replace(changes, due_at=None), now)


@broken
class JumpsTheQueue(Store):
    """A due time that has passed moves a ready message to the front."""

    def _edit(self, message_id: bytes, changes: Changes, now: float) -> bool:
        entry = self.entries.get(message_id)
        if changes.due_at is not None and entry is not None and self._may_edit(entry):
            due_at = min(changes.due_at, entry.due_at)
            self._replace(entry, entry.message, due_at, entry.expires_at, now)
        return super()._edit(message_id, changes, now)


@broken
class ExpiryStays(Store):
    """The time of the expiry stays as it was."""

    def _new_expiry(self, entry: Entry, changes: Changes, due_at: float) -> float:
        return entry.expires_at


@broken
class ExpiryFromTheOldDueTime(Store):
    """An expiry counts from the former due time."""

    def _new_expiry(self, entry: Entry, changes: Changes, due_at: float) -> float:
        return super()._new_expiry(entry, changes, entry.due_at)


@broken
class ExpiresAgain(Store):
    """A message that was leased in time expires again after it was moved."""

    def _new_expiry(self, entry: Entry, changes: Changes, due_at: float) -> float:
        expires = entry.message.expires if changes.expires is None else changes.expires
        return inf if expires is None else due_at + expires


@broken
class NobodyWakes(Store):
    """Waiters for the new queue sleep on."""

    def edit(self, ids: Sequence[bytes], changes: Changes) -> list[bool]:
        waiters, self.waiting_for_work = self.waiting_for_work, type(self.waiting_for_work)()
        try:
            return super().edit(ids, changes)
        finally:
            self.waiting_for_work = waiters
