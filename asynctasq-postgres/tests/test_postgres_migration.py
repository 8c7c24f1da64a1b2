"""Tables are made by `migrate`, in whatever state it was left."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner

from asynctasq.cli import main
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.errors import DriverError
from asynctasq_postgres import PostgresDriver
from asynctasq_postgres.migrating import STEPS
from tests.drivers.opening import message, opened
from tests.servers.databases import own_database

pytestmark = pytest.mark.sampled(2)


@pytest.fixture
def empty(empty_url: str) -> Iterator[str]:
    """Yield the URL of a database without tables."""
    with own_database(empty_url) as found:
        yield found


async def execute(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_database_without_tables_is_refused(empty: str) -> None:
    driver = PostgresDriver(empty)
    with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
        await driver.open()
    state = await driver.schema()
    assert (state.current, state.needed, state.oldest) == (0, len(STEPS), 1)


async def test_a_dry_run_changes_nothing_and_names_every_statement(empty: str) -> None:
    driver = PostgresDriver(empty)
    statements = await driver.migrate(dry_run=True)
    assert (await driver.schema()).current == 0
    connection = await asyncpg.connect(empty)
    async with connection.transaction():
        for statement in statements:
            await connection.execute(statement)
    await connection.close()
    assert (await driver.schema()).current == len(STEPS)
    assert await driver.migrate() == []


async def test_several_processes_migrate_at_once(empty: str) -> None:
    steps = await asyncio.gather(*(PostgresDriver(empty).migrate() for _ in range(4)))
    assert sum(map(len, steps)) == len(STEPS)
    async with opened(PostgresDriver(empty)) as driver:
        assert await driver.migrate() == []
        await driver.enqueue([message()])


async def test_a_migration_that_fails_half_way_leaves_nothing(empty: str) -> None:
    await execute(empty, "CREATE SCHEMA asynctasq CREATE TABLE metrics (n int)")  # in its way
    driver = PostgresDriver(empty)
    with pytest.raises(DriverError):
        await driver.migrate()
    assert (await driver.schema()).current == 0
    await execute(empty, "DROP TABLE asynctasq.metrics")
    assert len(await driver.migrate()) == len(STEPS)
    async with opened(driver):
        await driver.enqueue([message()])


async def test_user_without_rights_is_told_which_ones_a_migration_needs(empty: str) -> None:
    role = f"test_{uuid4().hex}"
    await execute(empty, f"CREATE ROLE {role} LOGIN PASSWORD 'shop'")
    driver = PostgresDriver(empty, username=role, password="shop")
    try:
        with pytest.raises(DriverError, match="the right CREATE on the database"):
            await driver.migrate()
        await execute(empty, "CREATE SCHEMA asynctasq")
        await execute(empty, f"GRANT USAGE ON SCHEMA asynctasq TO {role}")
        with pytest.raises(DriverError, match="must own the schema asynctasq"):
            await driver.migrate()
        await execute(empty, f"ALTER SCHEMA asynctasq OWNER TO {role}")
        assert len(await driver.migrate()) == len(STEPS)
    finally:
        await execute(empty, f"DROP OWNED BY {role}")
        await execute(empty, f"DROP ROLE {role}")


async def test_a_killed_migration_leaves_nothing(empty: str) -> None:
    driver = PostgresDriver(empty)
    migration = asyncio.create_task(driver.migrate())
    killed = False
    connection = await asyncpg.connect(empty)
    while not killed and not migration.done():
        killed = bool(
            await connection.fetchval(
                "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND query ILIKE 'CREATE FUNCTION%'"
            )
        )
    await connection.close()
    await asyncio.gather(migration, return_exceptions=True)
    assert (await driver.schema()).current in range(len(STEPS) + 1)
    await driver.migrate()
    async with opened(driver):
        await driver.enqueue([message()])


async def test_tables_of_a_newer_release_are_used_if_it_permits(empty: str) -> None:
    driver, newer = PostgresDriver(empty), len(STEPS) + 1
    await driver.migrate()
    await execute(empty, f"UPDATE asynctasq.meta SET version = {newer}, usable_from = 1")
    async with opened(driver):
        await driver.enqueue([message()])
    await execute(empty, f"UPDATE asynctasq.meta SET usable_from = {newer}")
    with pytest.raises(DriverError, match="Upgrade asynctasq"):
        await driver.open()


async def test_tables_of_the_release_before_are_used_until_the_migration(empty: str) -> None:
    driver = PostgresDriver(empty)
    await driver.migrate()
    await execute(empty, "UPDATE asynctasq.meta SET version = 1")
    await execute(empty, "ALTER TABLE asynctasq.brokered RENAME TO of_another_time")
    await execute(empty, "DROP TABLE asynctasq.worker_requests")
    async with opened(driver):
        await driver.enqueue([message()])
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
        assert await driver.progress([delivery.message.id]) == [None]
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.marks([delivery.message.id])
        await driver.cancel([delivery.message.id])
        found = await driver.requests("w")
        assert (found.cancels, found.worker) == ([delivery.lease], WorkerRequest.RUN)
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.request_workers(["w"], WorkerRequest.STOP)


async def test_tables_without_events_have_no_listener(empty: str) -> None:
    driver = PostgresDriver(empty)
    await driver.migrate()
    await execute(empty, "DROP TABLE asynctasq.event_streams, asynctasq.event_batches")
    await execute(empty, "UPDATE asynctasq.meta SET version = 5")
    async with opened(driver):
        assert not await driver.listening()
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.events(None)
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.publish(b"events", 1)
    assert await driver.migrate() == ["pass events on to listeners"]
    async with opened(driver):
        await driver.events(None)
        assert await driver.listening()


async def test_two_schemas_and_prefixes_share_a_database(empty: str) -> None:
    drivers = [
        PostgresDriver(empty),
        PostgresDriver(empty, table_prefix="Jobs_"),
        PostgresDriver(empty, schema="Other"),
    ]
    for number, driver in enumerate(drivers, 1):
        await driver.migrate()
        async with opened(driver):
            await driver.enqueue([message() for _ in range(number)])
            assert (await driver.count("q")).ready == number


def test_the_command_creates_the_tables(empty: str) -> None:
    def command(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "asynctasq", "migrate", "--driver", empty, *options],
            check=False,
            capture_output=True,
            text=True,
        )

    assert command("--check").returncode == 1
    planned = command("--dry-run")
    assert "CREATE TABLE" in planned.stdout
    done = command()
    assert (done.returncode, "create the tables" in done.stdout) == (0, True)
    assert command("--check", "--dry-run").returncode == 2
    assert command("--check").returncode == 0


async def test_a_dry_run_prints_a_script_that_clients_can_run(empty: str) -> None:
    arguments = ["migrate", "--driver", empty, "--dry-run"]
    planned = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    connection = await asyncpg.connect(empty)
    try:
        await connection.execute(planned.output)
    finally:
        await connection.close()
    async with opened(PostgresDriver(empty)) as driver:
        await driver.enqueue([message()])
