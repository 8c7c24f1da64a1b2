"""The driver through PgBouncer in transaction mode, where calls share sessions with those of others."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from asynctasq import App, Worker, task
from asynctasq.conformance import run_conformance
from asynctasq.errors import DriverUnavailable
from asynctasq_postgres import PostgresDriver
from tests.drivers.lives import ManyLives, live_a_life, patiently
from tests.drivers.opening import message, opened
from tests.servers.databases import own_database
from tests.servers.pgbouncer import PgBouncer, pgbouncer
from tests.servers.postgres import PostgresServer, running_postgres

MakeDriver = Callable[..., PostgresDriver]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Yield the server behind the pooler."""
    with running_postgres("fsync=off") as made:
        yield made


@pytest.fixture(scope="module")
def pooler(server: PostgresServer) -> Iterator[PgBouncer]:
    """Yield a pooler with two sessions for a database that has the tables."""
    with own_database(server.url) as url, pgbouncer(url, sessions=2) as made:
        asyncio.run(PostgresDriver(url).migrate())
        yield made


@pytest.fixture
def make_driver(pooler: PgBouncer) -> MakeDriver:
    """Return a function that makes drivers, which reach the server through the pooler only."""
    namespace = uuid4().hex

    def make(**settings: Any) -> PostgresDriver:
        defaults: dict[str, Any] = {
            "namespace": namespace,
            "statement_cache_size": 0,
            "listen": False,
            "poll_interval": 0.05,
        }
        return PostgresDriver(pooler.url, **{**defaults, **settings})

    return make


async def check_rules(make_driver: MakeDriver, only: Collection[str] | None = None) -> None:
    """Check rules of the contract, each in a namespace of its own."""
    report = await run_conformance(
        lambda: make_driver(namespace=uuid4().hex), durable=True, only=only
    )
    assert report.results
    assert [result.check.name for result in report.failures] == []


async def test_central_rules_hold_through_a_pooler(
    make_driver: MakeDriver, server: PostgresServer
) -> None:
    await check_rules(make_driver, ["settle"])
    locks = server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert locks == [(0,)], "sessions belong to others after each call"


@pytest.mark.full
async def test_all_rules_hold_through_a_pooler(make_driver: MakeDriver) -> None:
    await check_rules(make_driver)


@pytest.fixture
def narrow_pooler(server: PostgresServer) -> Iterator[PgBouncer]:
    """Yield a pooler with one session, which all clients share."""
    with own_database(server.url) as url, pgbouncer(url, sessions=1) as made:
        asyncio.run(PostgresDriver(url).migrate())
        yield made


async def test_lost_prepared_statement_names_the_setting(narrow_pooler: PgBouncer) -> None:
    url = narrow_pooler.url
    async with opened(PostgresDriver(url, listen=False)) as driver:
        await driver.count("q")
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
            other.execute("DEALLOCATE ALL")
        with pytest.raises(
            DriverUnavailable, match=r"set postgres\.statement_cache_size=0"
        ) as raised:
            await driver.count("q")
    assert "HINT" not in str(raised.value)


@task
async def double(n: int) -> int:
    return 2 * n


async def test_worker_runs_tasks_through_a_pooler(make_driver: MakeDriver) -> None:
    async with App({"driver": make_driver()}) as app:
        handles = await app.dispatch_many([double(n) for n in range(50)])
        await Worker(app=app, burst=True, handle_signals=False).start()
        async with asyncio.timeout(60.0):
            results = await asyncio.gather(*(each.result() for each in handles))
    assert results == [2 * n for n in range(50)]


async def test_listener_goes_past_the_pooler(
    make_driver: MakeDriver, pooler: PgBouncer, server: PostgresServer
) -> None:
    database = pooler.url.rpartition("/")[2]
    direct = f"{server.url.removesuffix('/postgres')}/{database}"
    async with opened(make_driver(listen=True, listen_url=direct, poll_interval=60.0)) as driver:
        waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
        await asyncio.sleep(0.5)
        await driver.enqueue([message()])
        async with asyncio.timeout(30.0):
            await waiting


@pytest.mark.full
async def test_nothing_is_lost_while_the_pooler_restarts(pooler: PgBouncer) -> None:
    database = pooler.url.rpartition("/")[2]
    with pgbouncer(f"{pooler.server_url}/{database}", sessions=2) as own:

        async def restart() -> None:
            await asyncio.sleep(0.5)
            own.stop()
            own.start()

        make = partial(PostgresDriver, own.url, namespace=uuid4().hex, statement_cache_size=0)
        await ManyLives(make, messages=500, workers=3).run(restart)


async def test_settings_that_the_pooler_refuses_are_not_sent(make_driver: MakeDriver) -> None:
    async with opened(make_driver(synchronous_commit="off")) as driver:
        await patiently(lambda: live_a_life(driver))
