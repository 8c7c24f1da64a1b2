"""The connection for notifications: it is lost without a sound, and others forbid or flood notifications."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import psycopg
import pytest

from asynctasq.conformance import TcpProxy
from asynctasq.message import State
from asynctasq_postgres import PostgresDriver
from tests.drivers.lives import live_a_life
from tests.drivers.opening import message, opened
from tests.servers.databases import own_database
from tests.servers.shared import shared_url

MakeDriver = Callable[..., PostgresDriver]
SOON_SECONDS = 20.0
"""Generous for a machine that is busy; a worker looks for work once a second."""
LONG = 60.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a database with the tables, on the server that tests share."""
    with own_database(shared_url("postgres", tmp_path_factory)) as url:
        asyncio.run(PostgresDriver(url).migrate())
        yield url


@pytest.fixture
def make_driver(database: str) -> MakeDriver:
    """Return a function that makes drivers in a namespace of the test."""
    return partial(PostgresDriver, database, namespace=uuid4().hex)


async def wakes(driver: PostgresDriver, sender: PostgresDriver) -> None:
    """Check that a driver that waits returns soon after another has sent a message."""
    waiting = await asleep(driver)
    await sender.enqueue([message()])
    async with asyncio.timeout(SOON_SECONDS):
        await waiting


async def asleep(driver: PostgresDriver) -> "asyncio.Task[None]":
    """Return a wait that goes on after its first calls. A late notification of earlier messages may end others."""
    for _ in range(10):
        waiting = asyncio.create_task(driver.wait(["q"], timeout=LONG))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        if not done:
            return waiting
        await waiting
    raise AssertionError("the driver never sleeps")


async def test_worker_is_woken_although_its_listener_is_silently_dead(
    database: str, make_driver: MakeDriver
) -> None:
    with TcpProxy(database) as proxy:
        async with (
            opened(make_driver(listen_url=proxy.url)) as driver,
            opened(make_driver()) as sender,
        ):
            await live_a_life(driver)
            proxy.freeze()
            await wakes(driver, sender)
            proxy.reset()
            proxy.thaw()


async def test_listener_is_made_again_after_its_connection_was_cut(
    database: str, make_driver: MakeDriver
) -> None:
    with TcpProxy(database) as proxy:
        settings = {"listen_url": proxy.url, "poll_interval": LONG}
        async with (
            opened(make_driver(**settings)) as driver,
            opened(make_driver()) as sender,
        ):
            for _ in range(3):
                waiting = await asleep(driver)
                proxy.reset()
                async with asyncio.timeout(SOON_SECONDS):
                    while not proxy.connections and not waiting.done():
                        await asyncio.sleep(0.02)
                await sender.enqueue([message()])
                async with asyncio.timeout(SOON_SECONDS):
                    await waiting
                await driver.purge("q", states={State.READY})


async def test_message_is_accepted_although_nobody_can_be_notified(
    database: str, make_driver: MakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database, autocommit=True) as operator:
        operator.execute("CREATE ROLE mute LOGIN")
        operator.execute("GRANT ALL ON SCHEMA asynctasq TO mute")
        operator.execute("GRANT ALL ON ALL TABLES IN SCHEMA asynctasq TO mute")
        operator.execute("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
        try:
            async with (
                opened(make_driver()) as driver,
                opened(make_driver(username="mute")) as sender,
            ):
                await wakes(driver, sender)
                assert (await driver.count("q")).ready == 1
        finally:
            operator.execute("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC")
            operator.execute("DROP OWNED BY mute")
            operator.execute("DROP ROLE mute")
