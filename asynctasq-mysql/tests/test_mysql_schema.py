"""Tables: created once, in any number of attempts, and checked when a driver is opened."""

import asyncio
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from asynctasq.cli import main
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.errors import ConfigurationError, DriverError, DriverUnavailable
from asynctasq_mysql import MySQLDriver
from asynctasq_mysql.clients import Answer, Wire
from asynctasq_mysql.schema import look_at_server
from asynctasq_mysql.statements import TABLES, statements
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection, own_database

pytestmark = pytest.mark.sampled(2)
STEPS = list(statements("asynctasq_").versions)


@pytest.fixture
def database(server_url: str) -> Iterator[str]:
    """Yield the URL of an empty database."""
    with own_database(server_url) as url:
        yield url


def execute(url: str, *texts: str) -> list[tuple[object, ...]]:
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)
        return list(cursor.fetchall())


async def test_a_driver_says_what_to_run_where_there_are_no_tables(database: str) -> None:
    with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
        await MySQLDriver(database).open()
    assert execute(database, "SHOW TABLES") == []


async def test_a_migration_creates_all_tables_and_does_nothing_the_second_time(
    database: str,
) -> None:
    driver = MySQLDriver(database)
    assert (await driver.schema()).current == 0
    planned = await driver.migrate(dry_run=True)
    assert len(planned) == len(TABLES) + 1  # and the version
    assert execute(database, "SHOW TABLES") == []
    assert await driver.migrate() == STEPS
    assert await driver.migrate() == []
    assert await driver.migrate(dry_run=True) == []
    state = await driver.schema()
    assert (state.current, state.needed, state.oldest) == (len(STEPS), len(STEPS), 1)
    assert len(execute(database, "SHOW TABLES")) == len(TABLES)


async def test_a_dry_run_prints_a_script_that_clients_can_run(database: str) -> None:
    arguments = ["migrate", "--driver", database, "--dry-run"]
    planned = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    lines = [line for line in planned.output.splitlines() if not line.startswith("--")]
    execute(database, *(each for each in "\n".join(lines).split(";\n") if each))
    async with opened(MySQLDriver(database)) as driver:
        await driver.enqueue([message()])


async def test_drivers_that_migrate_at_once_take_turns(database: str) -> None:
    drivers = [MySQLDriver(database) for _ in range(4)]
    steps = await asyncio.gather(*(driver.migrate() for driver in drivers))
    assert sorted(map(list, steps)) == [
        [],
        [],
        [],
        STEPS,
    ]


@pytest.mark.parametrize("made", range(0, len(TABLES) + 1, 3))
async def test_a_migration_that_was_killed_goes_on_where_it_stopped(
    database: str, made: int
) -> None:
    texts = list(statements("asynctasq_").schema.values())
    if made:
        execute(database, *texts[:made])
    with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
        await MySQLDriver(database).open()
    planned = await MySQLDriver(database).migrate(dry_run=True)
    assert planned[:-1] == texts[made:]
    assert planned[-1].startswith("INSERT INTO `asynctasq_meta`")
    assert await MySQLDriver(database).migrate() == STEPS
    async with opened(MySQLDriver(database)) as driver:
        await driver.enqueue([message()])
        assert await driver.migrate() == []
        assert (await driver.count("q")).ready == 1


async def test_tables_of_a_newer_release_are_used_if_it_says_so(database: str) -> None:
    newer = len(STEPS) + 1
    await MySQLDriver(database).migrate()
    execute(database, f"UPDATE asynctasq_meta SET version = {newer}, usable_from = 1")
    async with opened(MySQLDriver(database)) as driver:
        assert await driver.migrate() == []
        assert (await driver.schema()).current == newer
    execute(database, f"UPDATE asynctasq_meta SET usable_from = {newer}")
    with pytest.raises(DriverError, match="Upgrade asynctasq"):
        await MySQLDriver(database).open()


async def test_tables_of_the_release_before_are_used_until_the_migration(database: str) -> None:
    driver = MySQLDriver(database)
    await driver.migrate()
    execute(database, "UPDATE asynctasq_meta SET version = 1", "DROP TABLE asynctasq_brokered")
    execute(database, "DROP TABLE asynctasq_worker_requests")
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
    assert await driver.migrate() == STEPS[1:]


async def test_tables_without_events_have_no_listener(database: str) -> None:
    driver = MySQLDriver(database)
    await driver.migrate()
    tables = "DROP TABLE asynctasq_event_streams, asynctasq_event_batches"
    execute(database, "UPDATE asynctasq_meta SET version = 5", tables)
    async with opened(driver):
        assert not await driver.listening()
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.events(None)
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.publish(b"events", 1)
    assert await driver.migrate() == STEPS[5:]
    async with opened(driver):
        await driver.events(None)
        assert await driver.listening()


async def test_a_prefix_separates_stores_of_one_database(database: str) -> None:
    one, two = (MySQLDriver(database, table_prefix=prefix) for prefix in ("", "shop_"))
    await one.migrate()
    await two.migrate()
    async with opened(one), opened(two):
        await one.enqueue([message()])
        assert (await one.count("q")).ready == 1
        assert (await two.count("q")).ready == 0


class ServerOf(Wire):
    """Answers as a server of another version would; none of them has a package here."""

    def __init__(self, version: str, *, read_only: int = 0, innodb: int = 1) -> None:
        super().__init__(None, Exception)
        self._row = (version, 1 << 24, read_only, innodb)

    async def run(self, *texts: str) -> list[Answer]:
        return [Answer([self._row], -1) for _ in texts]


@pytest.mark.parametrize(
    ("version", "is_mariadb"),
    [("8.0.19", False), ("8.4.3", False), ("9.1.0-log", False), ("10.6.1-MariaDB", True)],
)
async def test_a_server_of_a_known_version_is_accepted(version: str, is_mariadb: bool) -> None:
    server = await look_at_server(ServerOf(version), statements("a_"), "db")
    assert server.is_mariadb is is_mariadb


@pytest.mark.parametrize("version", ["5.7.44", "8.0.18", "10.5.9-MariaDB-log", "odd"])
async def test_a_server_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must be MySQL 8\.0\.19 or MariaDB 10\.6"):
        await look_at_server(ServerOf(version), statements("a_"), "db")


async def test_a_server_without_innodb_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must have InnoDB"):
        await look_at_server(ServerOf("8.4.0", innodb=0), statements("a_"), "db")


async def test_a_replica_is_unavailable() -> None:
    with pytest.raises(DriverUnavailable, match="read-only"):
        await look_at_server(ServerOf("8.4.0", read_only=1), statements("a_"), "db")
