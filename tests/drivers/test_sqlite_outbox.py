"""The outbox in an SQLite file of an application: damage, locks, and what it leaves alone."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from asynctasq.contracts.capabilities.outbox import OutboxEntry, Refusal
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.drivers.sqlite.outbox import SqliteOutbox
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.errors import DriverError, DriverUnavailable, TransactionError
from asynctasq.message import new_id

HOLDER = b"one of the tests"


@pytest_asyncio.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[SqliteOutbox]:
    """Yield an opened outbox with tables."""
    found = SqliteDriver(path=tmp_path / "application.db", busy_timeout=0.1).outbox()
    await found.open()
    await found.migrate()
    yield found
    await found.close()


@pytest.fixture
def database(outbox: SqliteOutbox) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the application."""
    with closing(sqlite3.connect(outbox.description, isolation_level=None)) as connection:
        yield connection


def entry() -> OutboxEntry:
    return OutboxEntry(new_id(), "", b"a message")


def replace_file(path: str) -> None:
    Path(path).rename(f"{path}.old")


async def take(outbox: SqliteOutbox) -> list[bytes]:
    rows = await outbox.take("", holder=HOLDER, lease=10.0, limit=100)
    return [row.id for row in rows]


async def test_file_of_the_application_is_left_as_it_is(
    outbox: SqliteOutbox, database: sqlite3.Connection
) -> None:
    await outbox.add([entry()])
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.execute("PRAGMA user_version").fetchone() == (0,)
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert all("asynctasq_outbox" in name for name in names)


async def test_queue_and_outbox_share_a_file(tmp_path: Path) -> None:
    driver = SqliteDriver(path=tmp_path / "queue.db")
    await driver.open()
    outbox = driver.outbox()
    await outbox.open()
    await outbox.migrate()
    row = entry()
    assert await outbox.add([row]) == [True]
    assert await take(outbox) == [row.id]
    await outbox.close()
    await driver.close()


@pytest.mark.parametrize("column", ["created_at", "attempts", "error", "message", "not_before"])
@pytest.mark.parametrize("value", ["'text'", "x'c1'", "-1", "9223372036854775807"])
async def test_damaged_value_costs_only_its_row(
    column: str, value: str, outbox: SqliteOutbox, database: sqlite3.Connection
) -> None:
    damaged, good = entry(), entry()
    await outbox.add([damaged, good])
    database.execute(
        f"UPDATE asynctasq_outbox SET {column} = {value} WHERE id = ?",
        [damaged.id],
    )
    assert good.id in await take(outbox)
    assert len((await outbox.rows()).items) == 2
    state = await outbox.state()
    assert state.waiting + state.set_aside == 2
    assert state.oldest >= 0.0
    await outbox.refuse([Refusal(damaged.id, "damaged", None)])
    assert await take(outbox) == [good.id]
    assert await outbox.delete([damaged.id]) == [True]


async def test_locked_file_is_unavailable_and_works_later(
    outbox: SqliteOutbox, database: sqlite3.Connection
) -> None:
    row = entry()
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(DriverUnavailable, match="busy_timeout"):
        await outbox.add([row])
    database.execute("ROLLBACK")
    assert await outbox.add([row]) == [True]


async def test_missing_tables_are_named(outbox: SqliteOutbox, database: sqlite3.Connection) -> None:
    database.execute("DROP TABLE asynctasq_outbox")
    with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
        await outbox.add([entry()])


async def test_replaced_file_is_noticed(outbox: SqliteOutbox) -> None:
    await outbox.add([entry()])
    replace_file(outbox.description)
    assert (await outbox.schema()).current == 0
    await outbox.migrate()
    row = entry()
    await outbox.add([row])
    assert await take(outbox) == [row.id]


async def test_migration_of_a_newer_release_is_refused(
    outbox: SqliteOutbox, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE asynctasq_outbox_meta SET version = 99")
    with pytest.raises(DriverError, match="Upgrade asynctasq"):
        await outbox.migrate()


async def test_closed_outbox_refuses_calls_and_opens_again(outbox: SqliteOutbox) -> None:
    await outbox.close()
    with pytest.raises(DriverError, match="is not open"):
        await outbox.add([entry()])
    await outbox.open()
    await outbox.open()
    assert await outbox.add([entry()]) == [True]


def test_plan_refuses_another_file(tmp_path: Path) -> None:
    outbox = SqliteDriver(path=tmp_path / "application.db").outbox()
    Path(outbox.description).touch()
    plan = outbox.plan_add([entry()])
    next(plan)
    with pytest.raises(TransactionError, match="must be of the driver's database"):
        plan.send([(str(tmp_path / "other.db"),)])


@pytest.mark.parametrize("name", ["due", "new", "refused", "refuse", "delete", "retry", "rows"])
async def test_statements_use_the_indexes(
    name: str, outbox: SqliteOutbox, database: sqlite3.Connection
) -> None:
    sql = queries("outbox")[name].replace("{set_aside}", str(1 << 62))
    names = [
        "namespace",
        "target",
        "now",
        "holder",
        "latest",
        "limit",
        "id",
        "error",
        "not_before",
        "counted",
    ]
    values = {**dict.fromkeys(names, 1), "set_aside": None}
    steps = database.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    plan = "\n".join(step[3] for step in steps)
    assert "SCAN asynctasq" not in plan
    assert "TEMP B-TREE" not in plan
