"""Checks of a driver whose SQL server fails in one way, for servers of every dialect.

Each takes a store that has started and a function that makes drivers of it in an unused namespace.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import pytest

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Delivery
from asynctasq.settlement import Complete, LeaseState, Release, Settled
from tests.chaos.stores.sql_server import SqlServerStore
from tests.drivers.lives import LEASE, ManyLives, live_a_life, patiently
from tests.drivers.opening import message, opened

MakeDriver: TypeAlias = Callable[..., Any]

Check: TypeAlias = Callable[[SqlServerStore, MakeDriver], Awaitable[None]]

TERMINATION_SECONDS = 0.05
CUT_SECONDS = 0.4
MESSAGES = 400
SOON_SECONDS = 20.0
"""Generous for a machine that is busy; a driver that has lost its listener looks once a second."""
CALLS_AT_ONCE = 50
REPEATS = (2, 12)
"""The least and the most times that a driver may repeat a statement that another transaction undid."""


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


async def check_read_only(store: SqlServerStore, make_driver: MakeDriver) -> None:
    """Check that a server that only reads is unavailable, and of use again after the fail-over."""
    async with opened(make_driver()) as driver:
        await live_a_life(driver)
        await store.ask(store.set_read_only, True)
        try:
            with pytest.raises(DriverUnavailable, match="read-only"):
                await driver.enqueue([message()])
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


QUICK: tuple[Check, ...] = (
    check_terminated_sessions,
    check_crash_under_load,
    check_synced_lease,
    check_read_only,
    check_no_room,
    check_dead_lock,
    check_half_open_connections,
    check_late_renewal,
)
LONG: tuple[Check, ...] = (
    check_tokens_after_crashes,
    check_cut_connections,
    check_waiter_after_termination,
    check_locked_message,
    check_statement_timeout,
    check_refused_connections,
    check_clock_set_back,
)
CHECKS = (*QUICK, *(pytest.param(check, marks=pytest.mark.full) for check in LONG))
"""All checks as parameters of a test."""
