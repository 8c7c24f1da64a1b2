"""Checks of many messages while a SQL server fails again and again."""

import asyncio
import random

from tests.chaos.server.check import SOON_SECONDS, MakeDriver
from tests.chaos.stores.sql_server import SqlServerStore
from tests.drivers.lives import ManyLives, patiently

TERMINATION_SECONDS = 0.05
CUT_SECONDS = 0.4
MESSAGES = 400


async def check_terminated_sessions(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that nothing is lost while sessions end at random, twenty a second."""
    chance = random.Random()

    async def terminate() -> None:
        for session in (await store.ask(store.sessions))[:8]:
            if chance.random() < 0.3:
                await store.ask(store.end_session, session)
            await asyncio.sleep(TERMINATION_SECONDS)

    await ManyLives(make_driver, messages=MESSAGES, workers=3).run(terminate)


async def check_crash_under_load(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that nothing is lost and no lease has two owners if the server crashes, and starts again at once."""
    crashed = False

    async def crash() -> None:
        nonlocal crashed
        await asyncio.sleep(0.7)
        if not crashed:
            crashed = True
            await asyncio.to_thread(store.crash)
            await asyncio.to_thread(store.restart)

    lives = ManyLives(make_driver, messages=MESSAGES, workers=3)
    await lives.run(crash)
    assert lives.unavailable


async def check_cut_connections(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that nothing is lost while the network cuts all connections again and again."""
    chance = random.Random()

    async def cut() -> None:
        await asyncio.sleep(CUT_SECONDS)
        await asyncio.to_thread(chance.choice([store.proxy.cut, store.proxy.reset]))

    await ManyLives(make_driver, messages=MESSAGES, workers=3).run(cut)


async def check_migration_under_load(_: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that migrations may run again and again, two at a time, while workers run."""

    async def migrate() -> None:
        async with asyncio.timeout(SOON_SECONDS):
            found = await asyncio.gather(*(patiently(make_driver().migrate) for _ in range(2)))
        assert found == [[], []], "there is nothing to do"
        await asyncio.sleep(0.1)

    await ManyLives(make_driver, messages=MESSAGES, workers=3).run(migrate)
