"""The outbox in PostgreSQL: transactions of another database, names of tables, plans, and sync code."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest

from asynctasq import App, task
from asynctasq.contracts import OutboxEntry
from asynctasq.contracts.capabilities.outbox import OUTBOX_BOUND, Refusal
from asynctasq.driverkit.sql import run_plan_async
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import TransactionError
from asynctasq.message import new_id
from asynctasq_postgres import PostgresDriver
from asynctasq_postgres.queries import Names, outbox_queries
from tests.servers.databases import own_database

LEAST = -(1 << 63)


async def run_plan(url: str, plan: Any) -> Any:
    """Run a plan in a transaction, and commit it whatever it answers."""
    connection = await asyncpg.connect(url)

    async def execute(statement: Any) -> Sequence[Any]:
        text, parameters = statement.render("numeric_dollar")
        rows: Sequence[Any] = await connection.fetch(text, *parameters)
        return rows

    try:
        async with connection.transaction():
            try:
                return await run_plan_async(plan, execute)
            except TransactionError as error:
                return error
    finally:
        await connection.close()


@pytest.fixture
def databases(empty_url: str) -> Iterator[tuple[str, str]]:
    """Yield the URLs of two empty databases."""
    with own_database(empty_url) as first, own_database(empty_url) as second:
        yield first, second


@pytest.mark.parametrize(
    "damage",
    [
        f"created_at = {LEAST}",
        "not_before = -5",
        f"not_before = {LEAST}",
        "attempts = 2147483647",
    ],
)
async def test_a_damaged_row_delays_no_other(databases: tuple[str, str], damage: str) -> None:
    url, _ = databases
    outbox = PostgresDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    ids = [new_id() for _ in range(3)]
    await outbox.add([OutboxEntry(each, "", b"message") for each in ids])
    with psycopg.connect(url) as connection:
        connection.execute(
            f"UPDATE asynctasq.outbox SET {damage} WHERE id = %s".encode(), [UUID(bytes=ids[1])]
        )
    assert (await outbox.state()).waiting == 3
    assert [row.id for row in (await outbox.rows()).items] == ids
    holder = b"holder"
    taken = await outbox.take("", holder=holder, lease=60.0, limit=10)
    assert sorted(row.id for row in taken) == ids
    await outbox.refuse([Refusal(each, "too large", None, is_counted=True) for each in ids])
    assert (await outbox.state()).set_aside == 3
    await outbox.close()


async def test_row_is_not_added_to_another_database(databases: tuple[str, str]) -> None:
    entry = OutboxEntry(new_id(), "", b"message")
    url, other_url = databases
    outboxes = [PostgresDriver(each).outbox() for each in databases]
    for outbox in outboxes:
        await outbox.open()
        await outbox.migrate()
    answer = await run_plan(other_url, outboxes[0].plan_add([entry]))
    assert isinstance(answer, TransactionError)
    assert [(await outbox.state()).waiting for outbox in outboxes] == [0, 0]
    assert await run_plan(url, outboxes[0].plan_add([entry])) == [True]
    assert [(await outbox.state()).waiting for outbox in outboxes] == [1, 0]
    for outbox in outboxes:
        await outbox.close()


async def test_tables_have_the_names_of_the_settings(databases: tuple[str, str]) -> None:
    url, _ = databases
    outbox = PostgresDriver(url, schema="shop", table_prefix="tasks_").outbox()
    await outbox.open()
    planned = await outbox.migrate(dry_run=True)
    assert planned[0] == 'CREATE SCHEMA "shop"'
    assert await outbox.migrate() == ["create the tables of the outbox"]
    assert await outbox.add([OutboxEntry(new_id(), "", b"message")]) == [True]
    await outbox.close()
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'shop'::regnamespace"
    )
    await connection.close()
    names = {row[0] for row in rows}
    assert {
        "tasks_outbox",
        "tasks_outbox_meta",
        "tasks_outbox_relays",
        "tasks_outbox_next",
        "tasks_outbox_waiting",
        "tasks_outbox_set_aside",
    } <= names


@pytest.mark.parametrize("analysed", [False, True])
async def test_statements_scan_no_table(databases: tuple[str, str], analysed: bool) -> None:
    """A relay does not look at rows that are set aside, nor at those of other targets."""
    url, _ = databases
    outbox = PostgresDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    await outbox.close()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO asynctasq.outbox (namespace, created_at, not_before, id, target, message)"
            " SELECT 'shop', n, CASE n % 2 WHEN 0 THEN 0 ELSE 4611686018427387904 END,"
            " gen_random_uuid(), CASE WHEN n < 10 THEN '' ELSE 'other' END, convert_to(repeat('m', 400), 'UTF8')"
            " FROM generate_series(1, 100000) AS n"
        )
        if analysed:
            await connection.execute("ANALYZE asynctasq.outbox")
        calls = outbox_queries(Names("asynctasq", ""))
        ids = [UUID(bytes=new_id()) for _ in range(1000)]
        for call, parameters in {
            "due": ("shop", "", 0, b"holder"),
            "take": ("shop", "", 0, 1000, 100, 8 << 20),
            "hold": ("shop", "", 0, b"holder", 10_000_000),
            "release": ("shop", "", b"holder"),
            "refuse": ("shop", 0, ids[:1], ["error"], [5], [True]),
            "delete": ("shop", ids),
            "retry": ("shop", ids),
            "rows": ("shop", 0, ids[0], 101, 8 << 20),
            "rows_waiting": ("shop", 0, ids[0], 101, 8 << 20),
            "rows_set_aside": ("shop", 0, ids[0], 101, 8 << 20),
        }.items():
            rows = await connection.fetch(f"EXPLAIN {calls[call]}", *parameters)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on outbox" not in plan, f"{call}:\n{plan}"
    finally:
        await connection.close()


@pytest.mark.parametrize("others", ["set aside", "waiting"])
async def test_a_look_reads_no_more_rows_than_it_returns(
    databases: tuple[str, str], others: str
) -> None:
    """Rows that a relay could not send stay for an operator, perhaps a hundred thousand of them."""
    url, _ = databases
    outbox = PostgresDriver(url).outbox()
    await outbox.open()
    await outbox.migrate()
    await outbox.close()
    many, few = (str(1 << 62), "0") if others == "set aside" else ("0", str(1 << 62))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "INSERT INTO asynctasq.outbox (namespace, created_at, not_before, id, target, message)"
            f" SELECT 'asynctasq', n, CASE WHEN n > 50000 THEN {few} ELSE {many} END,"
            " lpad(to_hex(n), 32, '0')::uuid, '', 'message' FROM generate_series(1, 50010) AS n"
        )
        await connection.execute("VACUUM ANALYZE asynctasq.outbox")
        calls = outbox_queries(Names("asynctasq", ""))
        listing = "rows_waiting" if others == "set aside" else "rows_set_aside"
        for call, parameters in {
            "state": ("asynctasq", 0, OUTBOX_BOUND),
            listing: ("asynctasq", 0, None, 101, 8 << 20),
        }.items():
            rows = await connection.fetch(
                f"EXPLAIN (ANALYZE, TIMING OFF) {calls[call]}", *parameters
            )
            plan = "\n".join(row[0] for row in rows)
            read = [int(each) for each in re.findall(r"actual rows=(\d+)", plan)]
            assert max(read) <= OUTBOX_BOUND, plan
            assert "Rows Removed by Filter" not in plan, plan
    finally:
        await connection.close()


@task(name="postgres_outbox.ship")
async def ship(number: int) -> int:
    return number


def test_code_without_a_loop_dispatches_through_the_outbox(databases: tuple[str, str]) -> None:
    url, other_url = databases

    async def migrate() -> None:
        for each in databases:
            outbox = PostgresDriver(each).outbox()
            await outbox.open()
            await outbox.migrate()
            await outbox.close()

    asyncio.run(migrate())
    app = App({"driver": MemoryDriver(), "outbox": url})
    try:
        with psycopg.connect(url) as connection:
            with connection.transaction():
                handles = [app.dispatch_sync(ship(1), transaction=connection) for _ in range(2)]
            rows = connection.execute(
                "SELECT id::text FROM asynctasq.outbox ORDER BY id"
            ).fetchall()
        assert [row[0] for row in rows] == [str(each) for each in handles]
        with (
            psycopg.connect(other_url) as connection,
            pytest.raises(TransactionError, match="another database"),
            connection.transaction(),
        ):
            app.dispatch_sync(ship(1), transaction=connection)
    finally:
        app.close_sync()
