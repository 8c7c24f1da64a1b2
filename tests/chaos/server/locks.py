"""Checks of transactions of others that hold locks."""

import asyncio

import pytest

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.errors import DriverError
from asynctasq.settlement import Complete, Settled
from tests.chaos.server.check import SOON_SECONDS, MakeDriver
from tests.chaos.stores.sql_server import SqlServerStore
from tests.drivers.lives import LEASE
from tests.drivers.opening import message, opened


async def check_dead_lock(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a dead-lock with a transaction of others costs time, and nothing else."""
    async with opened(make_driver()) as driver:
        await driver.enqueue([message() for _ in range(4)])
        got = await driver.reserve({"q": 4}, limit=4, owner="one", lease=LEASE)
        first, *_, last = sorted(each.message.id for each in got)
        before = await store.ask(store.dead_locks)
        hold = await store.ask(store.hold, last)
        try:
            ordered = sorted(got, key=lambda each: each.message.id)
            settling = asyncio.create_task(
                driver.settle([Complete(each.lease) for each in ordered])
            )
            await _until_blocked(store)
            await store.ask(hold.lock, first)
        finally:
            await store.ask(hold.end)
        assert await settling == [Settled.DONE] * 4
        assert await store.ask(store.dead_locks) > before


async def _until_blocked(store: SqlServerStore) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while not await store.ask(store.blocked_sessions):
            await asyncio.sleep(0.01)


async def check_locked_message(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a message that a foreign transaction locks does not keep workers from the others."""
    async with opened(make_driver()) as driver:
        locked, *others = [message() for _ in range(5)]
        await driver.enqueue([locked, *others])
        hold = await store.ask(store.hold, locked.id)
        try:
            async with asyncio.timeout(SOON_SECONDS):
                got = await driver.reserve({"q": 5}, limit=5, owner="one", lease=LEASE)
                assert {each.message.id for each in got} == {each.id for each in others}
                assert (
                    await driver.settle([Complete(each.lease) for each in got])
                    == [Settled.DONE] * 4
                )
        finally:
            await store.ask(hold.end)
        assert await driver.cancel([locked.id]) == [CancelOutcome.CANCELLED]


async def check_statement_timeout(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a time limit of the server ends a call that waits for a lock; later calls are not affected."""
    await store.ask(store.set_statement_timeout, 0.3)
    try:
        async with opened(make_driver()) as driver:
            await driver.enqueue([message()])
            [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
            hold = await store.ask(store.hold, got.message.id)
            try:
                async with asyncio.timeout(SOON_SECONDS):
                    with pytest.raises(DriverError):
                        await driver.settle([Complete(got.lease)])
            finally:
                await store.ask(hold.end)
            assert await driver.settle([Complete(got.lease)]) == [Settled.DONE]
    finally:
        await store.ask(store.set_statement_timeout, 0.0)
