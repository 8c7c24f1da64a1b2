"""Seeded bugs in what a state store knows of brokered messages: each breaks a rule that the suite must check."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, Note
from asynctasq.driverkit.marks import Fact
from asynctasq.drivers.memory.brokered import StateStore
from asynctasq.drivers.memory.entry import Entry
from asynctasq.message import State
from tests.drivers.mutants import mutant


@mutant("state")
class LastEndCounts(StateStore):
    """A second end replaces the first."""

    def _has_past(self, message_id: bytes, now: float) -> bool:
        return message_id in self.entries and self.entries[message_id].state is not State.DEAD


@mutant("state")
class EndsWhatIsHere(StateStore):
    """An end is kept for a message that is in the store."""

    def _has_past(self, message_id: bytes, now: float) -> bool:
        return Fact.ENDED in self.facts.of(message_id, now)


@mutant("state")
class MarkEndsWithTheOutcome(StateStore):
    """An end is marked for as long as its outcome is kept, and no longer."""

    def _marked_for(self, end: Ended) -> float:
        return end.result_ttl


@mutant("state")
class MarkIsKeptForAnHour(StateStore):
    """An end is marked for an hour, also if its outcome is kept for longer."""

    def _marked_for(self, end: Ended) -> float:
        return 3600.0

    def _mark_of(self, message_id: bytes, now: float) -> Mark:
        entry = self.entries.get(message_id)
        if entry is None and Fact.ENDED not in self.facts.of(message_id, now):
            self.outcomes.kept.pop(message_id, None)
        return super()._mark_of(message_id, now)


@mutant("state")
class MarkForgottenWithTheLetter(StateStore):
    """The mark of a dead letter is deleted with it."""

    def _delete_dead(self, message_id: bytes) -> bool:
        self.facts.drop(message_id)
        return super()._delete_dead(message_id)


@mutant("state")
class DeadLetterWithoutPast(StateStore):
    """The attempts and lost leases of a dead letter are not kept."""

    def _bury(self, end: Ended, now: float) -> None:
        super()._bury(end, now)
        self.entries[end.message.id].attempt = 0


@mutant("state")
class DeadIsOnlyAnOutcome(StateStore):
    """No dead letter is kept, only its mark."""

    def _bury(self, end: Ended, now: float) -> None:
        return


@mutant("state")
class ResultAlwaysKept(StateStore):
    """A result that is not wanted is kept."""

    def finish(self, ends: Sequence[Ended]) -> list[bool]:
        from dataclasses import replace

        return super().finish([replace(end, result_ttl=max(end.result_ttl, 60.0)) for end in ends])


@mutant("state")
class NoWakeUp(StateStore):
    """Waiters for results are not woken."""

    def finish(self, ends: Sequence[Ended]) -> list[bool]:
        waiting, self.waiting_for_results = (
            self.waiting_for_results,
            type(self.waiting_for_results)(),
        )
        try:
            return super().finish(ends)
        finally:
            self.waiting_for_results = waiting


@mutant("state")
class FlagsForEver(StateStore):
    """A flag never ends."""

    def _flag_brokered(self, message_id: bytes, ttl: float, now: float) -> CancelOutcome:
        return super()._flag_brokered(message_id, 1e9, now)


@mutant("state")
class FlagsOnly(StateStore):
    """A message in the store is flagged, too."""

    def _flag_brokered(self, message_id: bytes, ttl: float, now: float) -> CancelOutcome:
        self.facts.keep(message_id, Fact.FLAGGED, now + ttl)
        return CancelOutcome.REQUESTED


@mutant("adoption")
class AdoptedWithoutPast(StateStore):
    """An adopted message starts from zero."""

    def _give_past(self, entry: Entry, adopted: Adopted) -> None:
        entry.error = adopted.error


@mutant("adoption")
class AdoptedWithoutError(StateStore):
    """An adopted message loses its error."""

    def _give_past(self, entry: Entry, adopted: Adopted) -> None:
        super()._give_past(entry, adopted)
        entry.error = None


@mutant("adoption")
class AdoptedAtOnce(StateStore):
    """An adopted message is ready at once."""

    def _give_past(self, entry: Entry, adopted: Adopted) -> None:
        super()._give_past(entry, adopted)
        adopted.due_at = 0.0  # type: ignore[misc]  # a bug


@mutant("adoption")
class AdoptsTheFlagged(StateStore):
    """A flagged message is adopted although it is to be cancelled."""

    def _adopt(self, adopted: Adopted, now: float) -> bool:
        if Fact.FLAGGED in self.facts.of(adopted.message.id, now):
            self.facts.drop(adopted.message.id)
        return super()._adopt(adopted, now)


@mutant("state")
class ForgetsTheMove(StateStore):
    """A move is not marked: the broker's copy would run after the message has ended here."""

    def _adopt(self, adopted: Adopted, now: float) -> bool:
        answer = super()._adopt(adopted, now)
        self.facts.drop(adopted.message.id)
        return answer


@mutant("state")
class KeepsNotesOfTheEnded(StateStore):
    """Progress of a message that has ended is kept."""

    def note(self, notes: Sequence[Note]) -> None:
        for note in notes:
            self.facts.keep(note.id, Fact.PROGRESS, self.now() + note.ttl, note.value)


@mutant("state")
class FirstNoteCounts(StateStore):
    """A later note of a kind changes nothing."""

    def note(self, notes: Sequence[Note]) -> None:
        super().note([note for note in notes if not self.facts.of(note.id, self.now())])


@mutant("state")
class LosesProgressOnTheWay(StateStore):
    """Progress of a message that is adopted is lost."""

    def _make_waiting(self, entry: Entry, now: float) -> None:
        entry.progress = None
        super()._make_waiting(entry, now)


@mutant("state")
class AcceptsBadEnds(StateStore):
    """An end with a bad number is kept."""

    def finish(self, ends: Sequence[Ended]) -> list[bool]:
        now = self.now()
        return [self._finish_brokered(end, now) for end in ends]
