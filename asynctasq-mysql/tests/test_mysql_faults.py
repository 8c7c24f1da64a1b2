"""Errors of the server and of connections, and the clients."""

import asyncio
from collections.abc import Callable

import pytest

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Unique
from asynctasq.settlement import Complete, ErrorInfo, Retry, Settled
from asynctasq_mysql import MySQLDriver
from asynctasq_mysql.errors import translated
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection
from tests.servers.mariadb import mariadb_process

MakeDriver = Callable[..., MySQLDriver]


@pytest.mark.parametrize("code", [1040, 1205, 1213, 1290, 1836, 2003, 2006, 2013, 1053, 1927, 4031])
def test_an_error_that_passes_makes_the_store_unavailable(code: int) -> None:
    assert isinstance(translated(Exception(code, "text"), "db"), DriverUnavailable)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1045, "refuses this user"),
        (1049, "has no such database"),
        (1146, "asynctasq migrate"),
        (1153, "max_allowed_packet"),
        (1064, "refused a statement"),
    ],
)
def test_an_error_that_lasts_names_the_remedy(code: int, words: str) -> None:
    error = translated(Exception(code, "text"), "db")
    assert not isinstance(error, DriverUnavailable)
    assert words in str(error)


async def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(DriverUnavailable, match=r"127\.0\.0\.1:1"):
        await MySQLDriver("mysql://127.0.0.1:1/shop").open()


async def test_a_user_that_is_refused_is_an_error(server_url: str) -> None:
    with pytest.raises(DriverError, match="refuses this user") as caught:
        await MySQLDriver(server_url, username="nobody", password="wrong").open()
    assert not isinstance(caught.value, DriverUnavailable)


async def test_calls_go_on_after_connections_were_killed(make_driver: MakeDriver, url: str) -> None:
    async with opened(make_driver()) as driver:
        await driver.enqueue([message()])
        with mysql_connection(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            [(own,)] = cursor.fetchall()
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE command = 'Sleep' AND id <> %s"
                " AND db = DATABASE() AND time < 5",
                [own],
            )
            assert cursor.fetchall()
        server = driver.settings.address()
        assert server.database
        assert (await driver.count("q")).ready == 1


async def test_a_read_only_server_is_unavailable_and_usable_again() -> None:
    with mariadb_process() as server:
        await MySQLDriver(server.url, database="mysql").migrate()
        async with opened(MySQLDriver(server.url, username="tester")) as driver:
            with mysql_connection(server.url) as connection, connection.cursor() as cursor:
                cursor.execute("CREATE USER app@'127.0.0.1'")
                cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON mysql.* TO app@'127.0.0.1'")
                async with opened(MySQLDriver(server.url, username="app")) as app:
                    cursor.execute("SET GLOBAL read_only = 1")
                    with pytest.raises(DriverUnavailable, match="read-only"):
                        await app.enqueue([message()])
                    with pytest.raises(DriverUnavailable, match="read-only"):
                        await MySQLDriver(server.url, username="app").open()
                    cursor.execute("SET GLOBAL read_only = 0")
                    await app.enqueue([message()])
            assert (await driver.count("q")).ready == 1


async def test_a_restart_of_the_server_costs_no_message() -> None:
    with mariadb_process("--innodb-flush-log-at-trx-commit=1") as server:
        await MySQLDriver(server.url).migrate()
        async with opened(MySQLDriver(server.url)) as driver:
            await driver.enqueue([message() for _ in range(10)])
            [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
            await asyncio.to_thread(server.stop)
            with pytest.raises(DriverUnavailable):
                await driver.settle([Complete(delivery.lease)])
            await asyncio.to_thread(server.start)
            assert await driver.settle([Complete(delivery.lease)]) == [Settled.DONE]
            assert (await driver.count("q")).ready == 9


async def test_a_row_that_another_transaction_locks_is_waited_for_and_then_unavailable(
    make_driver: MakeDriver, url: str
) -> None:
    locked = message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([locked, message()])
        with mysql_connection(url) as connection, connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute(
                f"SELECT id FROM asynctasq_messages WHERE id = x'{locked.id.hex()}' FOR UPDATE"
            )
            [other] = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
            assert other.message.id != locked.id
            assert await driver.settle([Complete(other.lease)]) == [Settled.DONE]
            cancelling = asyncio.create_task(driver.cancel([locked.id]))
            await asyncio.sleep(0)
            connection.rollback()
            assert [answer.value for answer in await cancelling] == ["cancelled"]


@pytest.mark.parametrize("client", ["aiomysql", "asyncmy"])
async def test_each_client_makes_every_kind_of_call(make_driver: MakeDriver, client: str) -> None:
    async with opened(make_driver(client=client)) as driver:
        body = bytes(range(256)) * 2000
        first, second = message(unique=Unique("k")), message(result_ttl=60.0)
        large = second.__class__(message().id, "q", "t", body)
        await driver.enqueue([first])
        await driver.enqueue([second, large])
        assert [each.created for each in await driver.enqueue([second])] == [False]
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert deliveries[-1].message.body == body
        await driver.set_progress([(deliveries[0].lease, b"half")])
        assert await driver.progress([first.id]) == [b"half"]
        answers = await driver.settle(
            [
                Complete(deliveries[1].lease, b"\x00\xff'\\%", 60.0),
                Complete(deliveries[2].lease, body),
            ]
        )
        assert answers == [Settled.DONE] * 2
        found = await driver.results([second.id, large.id])
        assert [each.result for each in found if each] == [b"\x00\xff'\\%", body]
        error = ErrorInfo("E", "it's \\ % wrong", "")
        assert await driver.settle([Retry(deliveries[0].lease, 50.0, error)]) == [Settled.DONE]
        [snapshot] = await driver.find([first.id])
        assert snapshot is not None
        assert snapshot.error == error
        assert len(await driver.queues()) == 1
        page = await driver.browse(snapshot.state)
        assert [each.message.id for each in page.items] == [first.id]
        assert [each.value for each in await driver.cancel([first.id])] == ["cancelled"]
        await asyncio.wait_for(driver.wait_results([first.id], timeout=30.0), 20.0)
