"""Seeded bugs in the plans of the sqlite driver: each breaks a rule that the conformance suite must check."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.transactions import Plan, Row, Statement
from asynctasq.contracts.driver import Enqueued
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Settled

MUTANTS: list[type[SqliteDriver]] = []


def mutant(broken: type[SqliteDriver]) -> type[SqliteDriver]:
    """Register a driver with a bug."""
    MUTANTS.append(broken)
    return broken


def _changed(
    plan: Plan[Any], change: Callable[[Statement], Sequence[Statement]]
) -> Generator[Statement, Sequence[Row], Any]:
    """Yield other statements than a plan does."""
    try:
        statement = next(plan)
        while True:
            rows: Sequence[Row] = ()
            for each in change(statement):
                rows = yield each
            statement = plan.send(rows)
    except StopIteration as end:
        return end.value


@mutant
class CommitsItself(SqliteDriver):
    """Commits as soon as it has added messages."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        answers = yield from super().plan_enqueue(messages)
        yield Statement(("COMMIT",))
        yield Statement(("BEGIN IMMEDIATE",))
        return answers


@mutant
class RaisesOnKnownId(SqliteDriver):
    """Adds without a look at known IDs."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        def change(statement: Statement) -> Sequence[Statement]:
            text = "".join(statement.parts)
            return [Statement(("SELECT 1 WHERE 0",))] if "forget_at" in text else [statement]

        return _changed(super().plan_enqueue(messages), change)


@mutant
class RollsBackOnKnownId(SqliteDriver):
    """Rolls the transaction back if an ID is known."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        answers = yield from super().plan_enqueue(messages)
        if not all(answer.created for answer in answers):
            yield Statement(("ROLLBACK",))
            yield Statement(("BEGIN IMMEDIATE",))
        return answers


@mutant
class ForgetsKeys(SqliteDriver):
    """Does not hold unique keys."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        def change(statement: Statement) -> Sequence[Statement]:
            holds = "INTO unique_keys" in "".join(statement.parts)
            return [] if holds else [statement]

        return _changed(super().plan_enqueue(messages), change)


@mutant
class SaysAllAreNew(SqliteDriver):
    """Answers that every message was created."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        answers = yield from super().plan_enqueue(messages)
        return [Enqueued(answer.id, True) for answer in answers]


@mutant
class LosesTheLast(SqliteDriver):
    """Adds all messages but the last of many."""

    def plan_enqueue(self, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
        kept = messages[:-1] if len(messages) > 100 else messages
        yield from super().plan_enqueue(kept)
        return [Enqueued(message.id, True) for message in messages]


@mutant
class CancelsNothing(SqliteDriver):
    """Answers a cancel without doing it."""

    def plan_cancel(self, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
        def change(statement: Statement) -> Sequence[Statement]:
            return [] if "UPDATE messages" in "".join(statement.parts) else [statement]

        return _changed(super().plan_cancel(ids), change)


@mutant
class CompletesStaleLeases(SqliteDriver):
    """Completes a message whatever the token is."""

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        yield from super().plan_complete(settlement)
        return Settled.DONE


@mutant
class CompletesWithoutResult(SqliteDriver):
    """Drops results and facts."""

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        return super().plan_complete(Complete(settlement.lease))


@mutant
class CompletesNothing(SqliteDriver):
    """Leaves the lease as it is."""

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        del settlement
        yield Statement(("SELECT 1",))
        return Settled.DONE


@mutant
class CommitsCompletions(SqliteDriver):
    """Commits as soon as it has completed a message."""

    def plan_complete(self, settlement: Complete) -> Plan[Settled]:
        answer = yield from super().plan_complete(settlement)
        yield Statement(("COMMIT",))
        yield Statement(("BEGIN IMMEDIATE",))
        return answer


@mutant
class SeesNothing(SqliteDriver):
    """Knows no states."""

    def plan_states(self, ids: Sequence[bytes]) -> Plan[list[State | None]]:
        yield Statement(("SELECT 1",))
        return [None] * len(ids)
