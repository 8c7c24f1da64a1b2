"""The outbox in MySQL: transactions of another database, prefixes of tables, and plans."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from asynctasq.contracts import OutboxEntry
from asynctasq.contracts.capabilities.outbox import Refusal
from asynctasq.driverkit.sql import run_plan
from asynctasq.errors import TransactionError
from asynctasq.message import new_id
from asynctasq_mysql import MySQLDriver
from asynctasq_mysql.statements import json_of, outbox_statements
from tests.servers.databases import mysql_connection, own_database

LEAST = -(1 << 63)


@pytest.fixture
def databases(server_url: str) -> Iterator[tuple[str, str]]:
    """Yield the URLs of two empty databases."""
    with own_database(server_url) as first, own_database(server_url) as second:
        yield first, second


def run_in(url: str, plan: Any) -> Any:
    """Run a plan in a transaction, and commit it whatever it answers."""
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        connection.begin()

        def execute(statement: Any) -> Sequence[Any]:
            cursor.execute(statement.render("format")[0].replace("%%", "%"))
            return cursor.fetchall() if cursor.description else ()

        try:
            return run_plan(plan, execute)
        except TransactionError as error:
            return error
        finally:
            connection.commit()


async def test_row_is_not_added_to_another_database(databases: tuple[str, str]) -> None:
    entry = OutboxEntry(new_id(), "", b"message")
    url, other_url = databases
    outboxes = [MySQLDriver(each).outbox() for each in databases]
    for outbox in outboxes:
        await outbox.open()
        await outbox.migrate()
    answer = run_in(other_url, outboxes[0].plan_add([entry]))
    assert isinstance(answer, TransactionError)
    assert [(await outbox.state()).waiting for outbox in outboxes] == [0, 0]
    assert run_in(url, outboxes[0].plan_add([entry])) == [True]
    assert [(await outbox.state()).waiting for outbox in outboxes] == [1, 0]
    for outbox in outboxes:
        await outbox.close()


async def test_migration_goes_on_after_it_was_killed(databases: tuple[str, str]) -> None:
    url, _ = databases
    outbox = MySQLDriver(url, table_prefix="tasks_").outbox()
    await outbox.open()
    first, *rest = await outbox.migrate(dry_run=True)
    assert "CREATE TABLE `tasks_outbox_meta`" in first
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute(first)
        cursor.execute(rest[0])
    assert (await outbox.schema()).current == 0
    await outbox.migrate()
    schema = await outbox.schema()
    assert schema.current == schema.needed == 1
    assert await outbox.add([OutboxEntry(new_id(), "", b"message")]) == [True]
    await outbox.close()


@pytest.mark.parametrize(
    "damage",
    [
        f"created_at = {LEAST}",
        "not_before = -5",
        f"not_before = {LEAST}",
        "attempts = 2147483647",
        "size = -2147483648",
        "error = x'ff80'",
    ],
)
async def test_a_damaged_row_delays_no_other(databases: tuple[str, str], damage: str) -> None:
    url, _ = databases
    outbox = MySQLDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    ids = [new_id() for _ in range(3)]
    await outbox.add([OutboxEntry(each, "", b"message") for each in ids])
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE asynctasq_outbox SET {damage} WHERE id = x'{ids[1].hex()}'")
        connection.commit()
    assert (await outbox.state()).waiting == 3
    assert [row.id for row in (await outbox.rows()).items] == ids
    holder = b"holder"
    taken = await outbox.take("", holder=holder, lease=60.0, limit=10)
    assert sorted(row.id for row in taken) == ids
    await outbox.refuse([Refusal(each, "too large", None, is_counted=True) for each in ids])
    assert (await outbox.state()).set_aside == 3
    await outbox.close()


async def test_rows_for_a_damaged_name_are_listed(databases: tuple[str, str]) -> None:
    url, _ = databases
    outbox = MySQLDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    await outbox.add([OutboxEntry(new_id(), "", b"message")])
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE asynctasq_outbox SET target = x'ff80'")
        connection.commit()
    assert [row.target for row in (await outbox.rows()).items] == [r"\xff\x80"]
    await outbox.close()


@pytest.mark.parametrize("analysed", [False, True])
async def test_statements_scan_no_table(databases: tuple[str, str], analysed: bool) -> None:
    """A relay does not look at rows that are set aside, nor at those of other targets."""
    url, _ = databases
    outbox = MySQLDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    rows = [OutboxEntry(new_id(), "other" if n else "", b"message") for n in range(20_000)]
    for start in range(0, len(rows), 1000):
        await outbox.add(rows[start : start + 1000])
    await outbox.close()
    sql = outbox_statements("asynctasq_").outbox
    of: dict[str, Any] = {"namespace": b"asynctasq", "target": b""}
    ids = json_of([row.id for row in rows[:1000]])
    texts = {
        "due": sql["due"](holder=b"holder", longest=1, **of),
        "take": sql["take"](limit=1000, refused=100, room=8 << 20, **of),
        "known": sql["known"](ids=ids, mark=1, namespace=of["namespace"]),
        "delete": sql["delete"](ids=ids, namespace=of["namespace"]),
        "retry": sql["retry"](ids=ids, namespace=of["namespace"]),
    }
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        if analysed:
            cursor.execute("ANALYZE TABLE asynctasq_outbox")
        for name, text in texts.items():
            cursor.execute(f"EXPLAIN {text}")
            plan = cursor.fetchall()
            scans = [
                row for row in plan if row[2] in {"asynctasq_outbox", "kept"} and row[3] == "ALL"
            ]
            assert not scans, f"{name}: {plan}"
