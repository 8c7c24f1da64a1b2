"""Checks of SQL servers that refuse connections, writes or statements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Settled
from tests.chaos.server.check import SOON_SECONDS, MakeDriver
from tests.chaos.stores.sql_server import SqlServerStore
from tests.drivers.lives import LEASE, live_a_life, patiently
from tests.drivers.opening import message, opened

CALLS_AT_ONCE = 50
REPEATS = (2, 12)
"""The least and the most times that a driver may repeat a statement that another transaction undid."""


async def enqueue_until_refused(driver: Any) -> None:
    """Enqueue messages of a queue that is not used elsewhere: sessions learn of a setting one by one."""
    async with asyncio.timeout(SOON_SECONDS):
        while True:
            await driver.enqueue([Message(new_id(), "refused", "task", b"body")])


async def check_read_only(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a server that only reads is unavailable, and of use again after the fail-over."""
    async with opened(make_driver()) as driver:
        await live_a_life(driver)
        await store.ask(store.set_read_only, True)
        try:
            with pytest.raises(DriverUnavailable, match="read-only"):
                await enqueue_until_refused(driver)
        finally:
            await store.ask(store.set_read_only, False)
        await patiently(partial(live_a_life, driver))


async def check_no_room(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a server with too many connections is unavailable, and of use once there is room."""
    async with opened(make_driver()) as driver:
        with store.fully_occupied():
            for session in store.sessions():
                store.end_session(session)
            for _ in range(3):
                with pytest.raises(DriverUnavailable):
                    await driver.enqueue([message()])
            with pytest.raises(DriverUnavailable):
                await make_driver().open()
        await patiently(partial(live_a_life, driver))


async def check_pool(store: SqlServerStore, make_driver: MakeDriver, *, sessions: int) -> None:
    """Check that calls wait for a connection: there are never more than the settings allow."""
    before = len(await store.ask(store.sessions))
    async with opened(make_driver()) as driver:
        calls = [driver.enqueue([message()]) for _ in range(CALLS_AT_ONCE)]
        calls += [driver.count("q") for _ in range(CALLS_AT_ONCE)]
        running = asyncio.gather(*calls)
        most = 0
        while not running.done():
            most = max(most, len(await store.ask(store.sessions)) - before)
        await running
        assert 0 < most <= sessions
        assert (await driver.count("q")).ready == CALLS_AT_ONCE


async def check_undone_statement(store: SqlServerStore, make_driver: MakeDriver, code: str) -> None:
    """Check that a statement that another transaction undid is repeated; core sees it if it never succeeds."""
    async with opened(make_driver()) as driver:
        await live_a_life(driver)
        async with failing(store, code, most=2):
            await driver.enqueue([message()])
        before = await store.ask(store.failures)
        async with failing(store, code):
            with pytest.raises(DriverUnavailable):
                await driver.enqueue([message()])
        least, most = REPEATS
        assert least <= await store.ask(store.failures) - before <= most
        assert (await driver.count("q")).ready == 1


async def check_failed_statement(store: SqlServerStore, make_driver: MakeDriver, code: str) -> None:
    """Check that a statement that fails half-way raises an error, leaves nothing, and spoils no connection."""
    async with opened(make_driver()) as driver:
        await live_a_life(driver)
        async with failing(store, code):
            for call in (
                driver.enqueue([message() for _ in range(5)]),
                driver.enqueue([message()]),
            ):
                with pytest.raises(DriverError):
                    await call
        assert (await driver.count("q")).ready == 0
        await driver.enqueue([message() for _ in range(5)])
        async with failing(store, code):
            for _ in range(3):
                with suppress(DriverError):
                    await driver.reserve({"q": 5}, limit=5, owner="one", lease=LEASE)
        got = await driver.reserve({"q": 5}, limit=5, owner="one", lease=LEASE)
        assert len(got) == 5
        completions = [Complete(each.lease) for each in got]
        async with failing(store, code):
            with suppress(DriverError):
                assert await driver.settle(completions) == [Settled.REFUSED] * 5
        assert await driver.settle(completions) == [Settled.DONE] * 5
        await live_a_life(driver)


@asynccontextmanager
async def failing(
    store: SqlServerStore, code: str, *, most: int | None = None
) -> AsyncIterator[None]:
    """Let all statements that write fail during the block, or the first ones."""
    await store.ask(store.set_failures, 1.0, code, most)
    try:
        yield
    finally:
        await store.ask(store.set_failures, 0.0)


async def check_refused_connections(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a server that cannot be reached is unavailable until it can."""
    async with opened(make_driver()) as driver:
        await live_a_life(driver)
        store.proxy.refuse()
        try:
            with pytest.raises(DriverUnavailable):
                await driver.enqueue([message()])
            with pytest.raises(DriverUnavailable):
                await make_driver().open()
        finally:
            store.proxy.accept()
        await patiently(partial(live_a_life, driver))


async def check_half_open_connections(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a server that does not answer is unavailable after the time limit, and its connections are replaced."""
    async with opened(make_driver(timeout=0.5)) as driver:
        await live_a_life(driver)
        store.proxy.freeze()
        try:
            async with asyncio.timeout(SOON_SECONDS):
                with pytest.raises(DriverUnavailable):
                    await driver.enqueue([message()])
        finally:
            store.proxy.reset()
            store.proxy.thaw()
        await patiently(partial(live_a_life, driver))
