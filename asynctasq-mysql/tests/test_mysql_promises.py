"""The driver behaves like the memory driver, and processes that are killed lose nothing."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.conformance import run_conformance
from asynctasq.conformance.model import run_model
from asynctasq.conformance.processes import check_each_message_once, check_kills, check_stale_owner
from asynctasq.contracts.driver import Driver
from asynctasq.settlement import Complete, Settled
from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection
from tests.servers.mariadb import mariadb_process


@pytest.mark.full
def test_driver_behaves_like_memory(url: str) -> None:
    run_model(lambda: MySQLDriver(url, namespace=uuid4().hex), examples=6)


def test_each_message_goes_to_one_of_several_processes(url: str, tmp_path: Path) -> None:
    check_each_message_once(partial(MySQLDriver, url, namespace=uuid4().hex), tmp_path)


def test_killed_processes_lose_and_duplicate_nothing(url: str, tmp_path: Path) -> None:
    make = partial(MySQLDriver, url, namespace=uuid4().hex)
    report = check_kills(make, tmp_path, kills=8)
    assert report.completed_by_children
    assert report.completed_by_parent, "the messages ended before the kills did"


def test_token_of_a_killed_process_is_rejected(url: str, tmp_path: Path) -> None:
    check_stale_owner(partial(MySQLDriver, url, namespace=uuid4().hex), tmp_path)


@pytest.mark.full
async def test_checks_may_share_a_namespace(url: str, request: pytest.FixtureRequest) -> None:
    only = None if request.config.getoption("full") else ["lease", "unique"]
    namespace = uuid4().hex
    report = await run_conformance(
        lambda: MySQLDriver(url, namespace=namespace), durable=True, one_namespace=True, only=only
    )
    assert report.tidy
    assert [result.check.name for result in report.failures] == []


@pytest.mark.full
async def test_rules_hold_after_hard_stops() -> None:
    with mariadb_process("--innodb-flush-log-at-trx-commit=1") as server:
        driver = MySQLDriver(server.url)
        await driver.migrate()

        async def stop_hard(driver: Driver) -> None:
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)

        report = await run_conformance(
            lambda: MySQLDriver(server.url, namespace=uuid4().hex),
            durable=True,
            stop_hard=stop_hard,
            only=["crash"],
        )
        assert report.results
        assert [result.check.name for result in report.failures] == []


async def test_token_grows_after_a_hard_stop() -> None:
    with mariadb_process("--innodb-flush-log-at-trx-commit=1") as server:
        await MySQLDriver(server.url).migrate()
        async with opened(MySQLDriver(server.url)) as driver:
            await driver.enqueue([message(max_lost=9)])
            with mysql_connection(server.url) as connection, connection.cursor() as cursor:
                cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
            [first] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=0.5)
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        await asyncio.to_thread(server.start)
        async with opened(MySQLDriver(server.url)) as driver:
            await driver.enqueue([first.message])
            driver.clock_offset += 100.0
            for lease in (0.0001, 30.0):
                await driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)
            [later] = await driver.reserve({"q": 1}, limit=1, owner="two", lease=60.0)
            assert isinstance(later.lease.token, int)
            assert isinstance(first.lease.token, int)
            assert later.lease.token > first.lease.token
            settled = await driver.settle([Complete(first.lease), Complete(later.lease)])
            assert settled == [Settled.LOST, Settled.DONE]
