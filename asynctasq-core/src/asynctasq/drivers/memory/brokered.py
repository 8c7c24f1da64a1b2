"""Calls of a composed driver: ends, flags, marks and notes of messages that a broker holds."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.results import Outcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.marks import (
    FACT_OF_NOTE,
    Fact,
    check_adopted,
    check_ends,
    check_notes,
    mark_of,
    marked_for,
)
from asynctasq.drivers.memory.entry import DEAD, Entry
from asynctasq.drivers.memory.events import Events
from asynctasq.drivers.memory.facts import Facts
from asynctasq.drivers.memory.metrics import Metrics
from asynctasq.drivers.memory.schedules import ScheduleStore
from asynctasq.drivers.memory.upkeep import UPKEEP_LIMIT
from asynctasq.drivers.memory.worker_requests import WorkerRequests
from asynctasq.message import State
from asynctasq.settlement import Reason


class StateStore(ScheduleStore):
    """The store, with the state of messages that a broker holds."""

    facts_class = Facts
    metrics_class = Metrics
    worker_requests_class = WorkerRequests
    events_class = Events

    def empty(self) -> None:
        super().empty()
        self.facts = self.facts_class(self.settings.outcome_limit)
        self.metrics = self.metrics_class()
        self.worker_requests = self.worker_requests_class()
        self.events = self.events_class()

    def _forget(self, now: float) -> None:
        super()._forget(now)
        self.facts.forget(now, limit=UPKEEP_LIMIT)

    # Ends.

    def finish(self, ends: Sequence[Ended]) -> list[bool]:
        check_ends(ends)
        now = self.now()
        return [self._finish_brokered(end, now) for end in ends]

    def _finish_brokered(self, end: Ended, now: float) -> bool:
        message_id = end.message.id
        if self._has_past(message_id, now):
            return False
        self.facts.drop(message_id)
        self.facts.keep(message_id, Fact.ENDED, now + self._marked_for(end))
        if end.state is State.DEAD:
            self._bury(end, now)
            return True
        result = end.result if end.state is State.COMPLETED and end.result_ttl > 0.0 else None
        outcome = Outcome(message_id, end.state, now, result, None, None, end.about)
        self.outcomes.keep(outcome, end.result_ttl)
        if self.waiting_for_results.waiters:
            self.waiting_for_results.wake(message_id)
        return True

    def _marked_for(self, end: Ended) -> float:
        return marked_for(end.result_ttl)

    def _has_past(self, message_id: bytes, now: float) -> bool:
        """Return whether the message was here, or has ended."""
        facts = self.facts.of(message_id, now)
        return self._is_known(message_id, now) or Fact.ENDED in facts or Fact.MOVED in facts

    def _bury(self, end: Ended, now: float) -> None:
        """Keep a whole dead letter."""
        entry = self._new_entry(end.message, now)
        entry.enqueued_at = end.enqueued_at
        entry.attempt, entry.lost, entry.about = end.attempts, end.lost, end.about
        self.entries[end.message.id] = entry
        self._make_dead(entry, end.reason or Reason.FAILED, end.error, now)

    # Flags and marks.

    def flag(self, ids: Sequence[bytes], *, ttl: float) -> list[CancelOutcome]:
        now = self.now()
        return [self._flag_brokered(message_id, ttl, now) for message_id in ids]

    def _flag_brokered(self, message_id: bytes, ttl: float, now: float) -> CancelOutcome:
        answer = self._cancel(message_id, now)
        if answer is not CancelOutcome.UNKNOWN:
            return answer
        if self._has_past(message_id, now):
            return CancelOutcome.TOO_LATE
        self.facts.keep(message_id, Fact.FLAGGED, now + ttl)
        return CancelOutcome.REQUESTED

    def marks(self, ids: Sequence[bytes]) -> list[Mark]:
        now = self.now()
        return [self._mark_of(message_id, now) for message_id in ids]

    def _mark_of(self, message_id: bytes, now: float) -> Mark:
        entry = self.entries.get(message_id)
        return mark_of(
            self.facts.of(message_id, now),
            waits=entry is not None and entry.state is not DEAD,
            has_ended=self._is_known(message_id, now),
        )

    # Messages that move here.

    def adopt(self, records: Sequence[Adopted]) -> list[bool]:
        check_adopted(records)
        now = self.now()
        return [self._adopt(each, now) for each in records]

    def _adopt(self, adopted: Adopted, now: float) -> bool:
        message_id = adopted.message.id
        if self._has_past(message_id, now):
            return False
        facts = self.facts.of(message_id, now)
        self.facts.drop(message_id)
        self.facts.keep(message_id, Fact.MOVED, now + marked_for(adopted.message.result_ttl))
        if Fact.FLAGGED in facts:
            outcome = Outcome(message_id, State.CANCELLED, now)
            self.outcomes.keep(outcome, adopted.message.result_ttl)
            self.waiting_for_results.wake(message_id)
            return True
        entry = self._new_entry(adopted.message, now)
        self._give_past(entry, adopted)
        entry.token = 1  # it was leased before
        entry.due_at = adopted.due_at
        entry.expires_at = float("inf")
        entry.progress = facts.get(Fact.PROGRESS)
        self.entries[message_id] = entry
        self._make_waiting(entry, now)
        return True

    def _give_past(self, entry: Entry, adopted: Adopted) -> None:
        entry.enqueued_at = adopted.enqueued_at
        entry.attempt, entry.lost, entry.error = adopted.attempt, adopted.lost, adopted.error

    # Notes.

    def note(self, notes: Sequence[Note]) -> None:
        check_notes(notes)
        now = self.now()
        for note in notes:
            if not self._has_past(note.id, now):
                self.facts.keep(note.id, FACT_OF_NOTE[note.kind], now + note.ttl, note.value)

    def noted_progress(self, message_id: bytes) -> bytes | None:
        """Return the progress of a message that a broker holds."""
        return self.facts.of(message_id, self.now()).get(Fact.PROGRESS)
