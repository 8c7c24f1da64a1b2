"""Checks of leases and of waiting while a SQL server crashes, is slow, or sets its clock back."""

import asyncio
from functools import partial
from typing import Any

import pytest

from asynctasq.message import Delivery
from asynctasq.settlement import Complete, LeaseState, Release, Settled
from tests.chaos.server.check import SOON_SECONDS, MakeDriver
from tests.chaos.stores.sql_server import SqlServerStore
from tests.drivers.lives import LEASE, patiently
from tests.drivers.opening import message, opened


async def check_tokens_after_crashes(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a lease that a crash may have undone never shares its token with a later one."""
    async with opened(make_driver()) as driver:
        for _ in range(3):
            await patiently(partial(driver.enqueue, [message()]))
            [first] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
            await asyncio.to_thread(store.crash)
            await asyncio.to_thread(store.restart)
            second = await _leased_again(driver, first)
            assert second.lease.token > first.lease.token
            settled = await driver.settle([Complete(first.lease), Complete(second.lease)])
            assert settled == [Settled.LOST, Settled.DONE]


async def _leased_again(driver: Any, first: Delivery) -> Delivery:
    """Lease a message to another owner: at once if the lease is lost, otherwise after its release."""
    found = await patiently(partial(driver.reserve, {"q": 1}, limit=1, owner="two", lease=LEASE))
    if not found:
        assert await driver.extend("one", [first.lease], lease=LEASE) == [LeaseState.HELD]
        assert await driver.settle([Release(first.lease)]) == [Settled.DONE]
        found = await driver.reserve({"q": 1}, limit=1, owner="two", lease=LEASE)
    else:
        assert await driver.extend("one", [first.lease], lease=LEASE) == [LeaseState.LOST]
    second: Delivery = found[0]
    assert second.message == first.message
    return second


async def check_synced_lease(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that the lease of a message that must not run twice survives a crash."""
    async with opened(make_driver()) as driver:
        await driver.enqueue([message(max_lost=0)])
        [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
        await asyncio.to_thread(store.crash)
        await asyncio.to_thread(store.restart)
        take = partial(driver.reserve, {"q": 1}, limit=1, owner="two", lease=LEASE)
        assert await patiently(take) == []
        assert await driver.settle([Complete(got.lease)]) == [Settled.DONE]


async def check_late_renewal(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a renewal that reaches the server late releases nothing that was reserved meanwhile."""
    lease = 0.5
    async with opened(make_driver()) as renewer, opened(make_driver(direct=True)) as driver:
        await driver.enqueue([message()])
        await renewer.extend("one", [], lease=lease)
        store.proxy.freeze()
        renewing = asyncio.create_task(renewer.extend("one", [], lease=lease))
        try:
            [got] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=lease)
            await asyncio.sleep(1.2 * lease)
        finally:
            store.proxy.thaw()
        await renewing
        assert await driver.extend("one", [got.lease], lease=LEASE) == [LeaseState.HELD]
        assert await driver.settle([Complete(got.lease)]) == [Settled.DONE]


async def check_clock_set_back(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that tokens grow and leases last although the server's clock is set back by ten seconds."""
    if store.clock.problem:
        pytest.skip(store.clock.problem)
    async with opened(make_driver()) as driver:
        await driver.enqueue([message(), message()])
        kept, first = await driver.reserve({"q": 2}, limit=2, owner="one", lease=LEASE)
        store.clock.jump(-10.0)
        try:
            assert await driver.settle([Release(first.lease)]) == [Settled.DONE]
            [second] = await driver.reserve({"q": 2}, limit=2, owner="two", lease=LEASE)
            assert second.message == first.message
            assert second.lease.token > first.lease.token
            answers = await driver.extend("one", [kept.lease, first.lease], lease=LEASE)
            assert answers == [LeaseState.HELD, LeaseState.LOST]
            settled = await driver.settle([Complete(kept.lease), Complete(second.lease)])
            assert settled == [Settled.DONE, Settled.DONE]
        finally:
            store.clock.jump(0.0)


async def check_waiter_after_termination(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a worker that waits is woken although all its sessions were ended, however often."""
    async with opened(make_driver()) as driver, opened(make_driver()) as other:
        for _ in range(3):
            waiting = asyncio.create_task(_wait(driver))
            await asyncio.sleep(0.2)
            for session in await store.ask(store.sessions):
                await store.ask(store.end_session, session)
            await patiently(partial(other.enqueue, [message()]))
            async with asyncio.timeout(SOON_SECONDS):
                await waiting
            found = await patiently(
                partial(driver.reserve, {"q": 1}, limit=1, owner="one", lease=LEASE)
            )
            assert await driver.settle([Complete(found[0].lease)]) == [Settled.DONE]


async def _wait(driver: Any) -> None:
    """Wait for work as a worker does: longer if the store is unavailable."""
    await patiently(partial(driver.wait, ["q"], timeout=60.0))
