"""Schedules in SQLite: what statements cost, and what a damaged row costs."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from asynctasq.contracts.capabilities.schedules import Firing, Schedule, ScheduleChange
from asynctasq.drivers.sqlite import SqliteDriver, SqliteSettings
from asynctasq.drivers.sqlite.database import open_database
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.schedules import COLUMNS, ClaimDue, Find, Fire, ListAll, Peek, Put
from asynctasq.drivers.sqlite.session import Session
from asynctasq.message import Message, ScheduledRun, new_id

T = TypeVar("T")

DUE = 1_000_000_000.0
LATER = 9_000_000_000.0
VALUES: dict[str, Any] = {
    "null": None,
    "text": "abc",
    "text that is not Unicode": "CAST(x'ff41' AS TEXT)",
    "bytes": b"\xff\x00",
    "no bytes": b"",
    "negative": -5,
    "huge": (1 << 63) - 1,
    "fraction": 0.5,
    "infinite": float("inf"),
}
DAMAGED = (
    "id", "namespace", "definition", "rhythm", "next_at", "claimable_at", "revision", "paused", "orphaned",
    "declared_by", "seen_at", "fired_at",
)  # fmt: skip


def schedule(name: str, next_at: float | None = DUE) -> Schedule:
    return Schedule(name, b"definition", next_at, "every 60")


def firing(claimed: Schedule) -> Firing:
    assert claimed.next_at is not None
    message = Message(
        new_id(), "emails", "app.send", b"", schedule=ScheduledRun(claimed.id, claimed.next_at)
    )
    return Firing(claimed.id, claimed.revision, claimed.next_at, LATER, (message,))


def run(session: Session, operation: Callable[[Session], T]) -> T:
    session.begin(0.0, item_by_item=False)
    session.connection.execute("BEGIN IMMEDIATE")
    answer = operation(session)
    session.connection.execute("COMMIT")
    return answer


def steps_of(session: Session, operation: Callable[[Session], object]) -> int:
    """Return how many instructions SQLite's virtual machine executes for an operation."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    session.connection.set_progress_handler(count, 1)
    run(session, operation)
    session.connection.set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize("name", queries("schedules"))
def test_no_statement_passes_over_the_table_or_sorts_it(name: str, tmp_path: Path) -> None:
    sql = queries("schedules")[name].replace("{columns}", COLUMNS)
    with closing(open_database(SqliteSettings(path=str(tmp_path / "plans.db")))) as connection:
        parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
    for step in (row[3] for row in rows):
        assert not step.startswith("SCAN") or "VIRTUAL TABLE" in step, step
        assert "TEMP B-TREE" not in step, step


def test_cost_of_a_call_is_the_same_however_many_schedules_there_are(tmp_path: Path) -> None:
    settings = SqliteSettings(path=str(tmp_path / "plans.db"))
    with closing(open_database(settings)) as connection:
        session = Session(connection, settings)

        def add(prefix: str, count: int, **fields: Any) -> list[Schedule]:
            found = [schedule(f"{prefix} {number}", **fields) for number in range(count)]
            run(session, Put(found))
            return found

        def costs(prefix: str) -> dict[str, int]:
            due = add(prefix, 20)
            costs = {"idle": steps_of(session, Peek())}
            costs["claim"] = steps_of(session, ClaimDue(20, 60.0))
            firings = [Firing(each.id, 1, DUE, LATER, ()) for each in due]
            costs["fire"] = steps_of(session, Fire(firings))
            costs["list"] = steps_of(session, ListAll(10, None))
            costs["find"] = steps_of(session, Find([each.id for each in due]))
            return costs

        add("some", 100, next_at=LATER)
        few = costs("first")
        add("more", 5_000, next_at=LATER)
        many = costs("later")
    assert all(many[call] <= 1.2 * few[call] for call in few), (few, many)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[SqliteDriver]:
    opened = SqliteDriver(tmp_path / "work.db", synchronous="off")
    await opened.open()
    yield opened
    await opened.close()


def change(driver: SqliteDriver, column: str, value: Any) -> bool:
    """Change one column of a row behind the driver's back; False if the schema forbids the value."""
    is_sql = isinstance(value, str) and value.startswith("CAST")
    sql = f"UPDATE schedules SET {column} = {value if is_sql else '?'} WHERE id = 'bad'"
    try:
        with closing(sqlite3.connect(driver.description)) as database, database:
            return database.execute(sql, [] if is_sql else [value]).rowcount == 1
    except sqlite3.IntegrityError:
        return False


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_a_damaged_schedule_costs_only_itself(driver: SqliteDriver, value: Any) -> None:
    for column in DAMAGED:
        names = [f"{column} a", "bad", f"{column} z"]
        good = {names[0], names[2]}
        await driver.put_schedules([schedule(name) for name in names])
        if not change(driver, column, value):
            await driver.change_schedules(names, ScheduleChange.REMOVE)
            continue
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        claimed = {each.id for each in claim.schedules}
        assert good <= claimed, column
        assert claim.next_at is None or claim.next_at > claim.now, column
        answers = await driver.fire([firing(each) for each in claim.schedules])
        fired = dict(zip([each.id for each in claim.schedules], answers, strict=True))
        assert all(fired[name] for name in good), column
        page = await driver.schedules()
        assert good <= {each.id for each in page.items}, column
        found = await driver.find_schedules(names)
        assert [each and each.id for each in (found[0], found[2])] == [names[0], names[2]], column
        await driver.change_schedules(names, ScheduleChange.SEEN)
        await driver.put_schedules([schedule("bad", LATER)])
        [again] = await driver.find_schedules(["bad"])
        assert again is not None, column
        assert again.definition == b"definition", column
        await driver.change_schedules(names, ScheduleChange.PAUSE)
        await driver.change_schedules(names, ScheduleChange.RESUME)
        assert all(await driver.change_schedules(names, ScheduleChange.REMOVE)), column
        with closing(sqlite3.connect(driver.description)) as database, database:
            database.execute("DELETE FROM schedules")


async def test_a_file_of_an_earlier_release_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    driver = SqliteDriver(path)
    await driver.open()
    await driver.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE schedules")
    await driver.open()
    assert await driver.put_schedules([schedule("nightly")]) == [1]
    await driver.close()
