"""What a statement costs does not depend on how many messages wait or have been run."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from operator import lt
from pathlib import Path
from typing import TypeVar

import pytest

from asynctasq.drivers.sqlite import SqliteSettings
from asynctasq.drivers.sqlite.database import open_database
from asynctasq.drivers.sqlite.dead_letters import DeadLetters
from asynctasq.drivers.sqlite.enqueueing import Enqueue
from asynctasq.drivers.sqlite.inspection import Browse, Count
from asynctasq.drivers.sqlite.leasing import Reserve
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.settling import Settle
from asynctasq.message import Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason

T = TypeVar("T")

HOT = [(file, name) for file in ("enqueue", "lease", "upkeep", "settle") for name in queries(file)]
LOOK_UPS = [
    ("inspect", name)
    for name in (
        "outcomes", "ended", "known", "progress", "states", "find",
        "purgeable_ready", "purgeable_scheduled", "purgeable_dead",
    )
]  # fmt: skip


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(SqliteSettings(path=str(tmp_path / "plans.db")))
    yield opened
    opened.close()


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


@pytest.mark.parametrize(("file", "name"), HOT + LOOK_UPS)
def test_no_statement_passes_over_a_table_or_sorts_it(
    connection: sqlite3.Connection, file: str, name: str
) -> None:
    sql = queries(file)[name].replace("{columns}", "messages.id")
    for step in plan(connection, sql):
        scans_a_table = step.startswith("SCAN") and "VIRTUAL TABLE" not in step
        # What a subquery has already limited, and the few owners of leases, are read whole.
        if scans_a_table and not re.match(
            r"SCAN (\(subquery|SUBQUERY|CONSTANT ROW|settled|holders)", step
        ):
            pytest.fail(f"{file}.{name}: {step}")
        assert "TEMP B-TREE" not in step, f"{file}.{name}: {step}"


def statements_of(session: Session, operation: Callable[[Session], object]) -> list[str]:
    """Return the statements that an operation executes, with their parameters filled in."""
    executed: list[str] = []
    session.connection.set_trace_callback(executed.append)
    run(session, operation)
    session.connection.set_trace_callback(None)
    return [each for each in executed if not each.startswith(("BEGIN", "COMMIT"))]


BROWSED: list[Callable[[Session], object]] = [
    Browse(state, queue, "app.*", None, 0.0, None, 5, None)
    for state in (State.READY, State.SCHEDULED, State.RUNNING, State.DEAD)
    for queue in (None, "emails")
]
LISTED: list[Callable[[Session], object]] = [
    *BROWSED,
    *(
        DeadLetters(queue, "app.send", Reason.FAILED, "ValueError", 5, None)
        for queue in (None, "emails")
    ),
]


@pytest.mark.parametrize("listing", LISTED, ids=repr)
def test_no_listing_passes_over_a_table_or_sorts_it(
    connection: sqlite3.Connection, tmp_path: Path, listing: Callable[[Session], object]
) -> None:
    session = Session(connection, SqliteSettings(path=str(tmp_path / "plans.db")))
    some_in_every_state(session)
    executed = statements_of(session, listing)
    assert any("walked" in sql for sql in executed)
    for sql in executed:
        for step in plan(connection, sql):
            assert not re.match(
                r"SCAN (?!walked|CONSTANT ROW|holders|\(subquery|SUBQUERY)", step
            ), (
                sql,
                step,
            )
            assert "TEMP B-TREE" not in step, (sql, step)


def test_counting_reads_indexes_alone(connection: sqlite3.Connection, tmp_path: Path) -> None:
    session = Session(connection, SqliteSettings(path=str(tmp_path / "plans.db")))
    some_in_every_state(session)
    [sql] = [sql for sql in statements_of(session, Count("emails", None)) if "count(*)" in sql]
    steps = [step for step in plan(connection, sql) if " messages " in step]
    assert steps
    assert all("COVERING INDEX" in step for step in steps), steps


def some_messages(count: int) -> list[Message]:
    return [Message(new_id(), "emails", "app.send", b"body") for _ in range(count)]


def some_in_every_state(session: Session) -> None:
    run(session, Enqueue(some_messages(30)))
    run(session, Enqueue([Message(new_id(), "emails", "app.send", b"", delay=60.0)]))
    deliveries = run(session, Reserve({"emails": 20}, 20, "worker", 30.0))
    error = ErrorInfo("builtins.ValueError", "", "")
    failed = [Fail(delivery.lease, Reason.FAILED, error) for delivery in deliveries[10:]]
    run(session, Settle(failed))


def run(session: Session, operation: Callable[[Session], T]) -> T:
    session.begin(0.0, item_by_item=False)
    session.connection.execute("BEGIN IMMEDIATE")
    answer = operation(session)
    session.connection.execute("COMMIT")
    return answer


def run_counted(session: Session, operation: Callable[[Session], T]) -> tuple[T, int]:
    """Return the answer, and how many instructions SQLite's virtual machine executed for it."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    session.connection.set_progress_handler(count, 1)
    answer = run(session, operation)
    session.connection.set_progress_handler(None, 0)
    return answer, steps


def finish(session: Session, count: int) -> None:
    deliveries = run(session, Reserve({"emails": count}, count, "worker", 30.0))
    run(session, Settle([Complete(delivery.lease, b"done") for delivery in deliveries]))


def test_cost_of_a_batch_is_the_same_with_a_backlog_and_with_a_history(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    session = Session(connection, SqliteSettings(path=str(tmp_path / "plans.db")))

    def costs_of_a_batch() -> list[int]:
        _, enqueue = run_counted(session, Enqueue(some_messages(20)))
        deliveries, reserve = run_counted(session, Reserve({"emails": 20}, 20, "worker", 30.0))
        completions = [Complete(delivery.lease, b"done") for delivery in deliveries]
        _, settle = run_counted(session, Settle(completions))
        return [enqueue, reserve, settle]

    run(session, Enqueue(some_messages(100)))
    finish(session, 20)
    at_first = costs_of_a_batch()
    for _ in range(20):
        run(session, Enqueue(some_messages(1_000)))
    with_a_backlog = costs_of_a_batch()
    for _ in range(20):
        finish(session, 1_000)
    with_a_history = costs_of_a_batch()

    most = [1.1 * first for first in at_first]
    assert all(map(lt, with_a_backlog, most)), (at_first, with_a_backlog)
    assert all(map(lt, with_a_history, most)), (at_first, with_a_history)


def test_cost_of_a_page_is_the_same_however_many_messages_there_are(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    session = Session(connection, SqliteSettings(path=str(tmp_path / "plans.db")))
    others = Reserve({"others": 10_000}, 10_000, "worker", 30.0)

    def add_others() -> None:
        error = ErrorInfo("builtins.KeyError", "", "")
        run(session, Enqueue([Message(new_id(), "others", "other", b"") for _ in range(2_500)]))
        failing = run(session, others)
        run(session, Settle([Fail(each.lease, Reason.FAILED, error) for each in failing]))
        for delay in (0.0, 60.0):
            more = [Message(new_id(), "others", "x", b"", delay=delay) for _ in range(2_500)]
            run(session, Enqueue(more))

    def costs() -> dict[str, int]:
        return {repr(listing): run_counted(session, listing)[1] for listing in LISTED}

    add_others()
    run(session, others)
    some_in_every_state(session)
    add_others()
    at_first = costs()
    for _ in range(3):
        add_others()
    too_many = {
        listing: (at_first[listing], cost)
        for listing, cost in costs().items()
        if cost > 1.5 * at_first[listing]
    }
    assert not too_many


def test_cost_of_an_unused_queue_is_the_same_however_many_names_there_are(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    session = Session(connection, SqliteSettings(path=str(tmp_path / "plans.db")))
    unused = Reserve({"unused": 1}, 1, "worker", 30.0)

    def cost_of_a_reserve() -> int:
        session.rolled_back()  # so that it has to look for the name
        return run_counted(session, unused)[1]

    at_first = cost_of_a_reserve()
    for number in range(500):
        run(session, Enqueue([Message(new_id(), f"once-{number}", "app.send", b"")]))
    with_many = cost_of_a_reserve()
    assert with_many < 1.5 * at_first, (at_first, with_many)
