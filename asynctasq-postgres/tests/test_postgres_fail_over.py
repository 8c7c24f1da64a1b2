"""A replica that takes the place of its primary: the driver follows, and no accepted message is lost."""

import asyncio
from functools import partial

import pytest

from asynctasq.errors import DriverUnavailable
from asynctasq.settlement import Complete, Settled
from asynctasq_postgres import PostgresDriver
from tests.drivers.lives import LEASE, live_a_life, patiently
from tests.drivers.opening import message, opened
from tests.servers.postgres import PostgresServer, running_postgres


async def test_driver_follows_a_fail_over_to_a_replica() -> None:
    with running_postgres() as primary, running_postgres(primary=primary) as replica:
        hosts = f"127.0.0.1:{replica.port},127.0.0.1:{primary.port}"
        url = f"postgresql://tester@{hosts}/postgres?timeout=5"
        await PostgresDriver(url).migrate()
        async with opened(PostgresDriver(url)) as driver:
            await live_a_life(driver)
            sent = [message(max_lost=0) for _ in range(5)]  # their leases are synced, too
            await driver.enqueue(sent)
            [first] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
            await until_replayed(replica, primary)
            primary.crash()
            with pytest.raises(DriverUnavailable):
                await driver.enqueue([message()])
            await asyncio.to_thread(replica.promote)
            take = partial(driver.reserve, {"q": 5}, limit=5, owner="two", lease=LEASE)
            got = await patiently(take)
            assert {each.message.id for each in got} == {each.id for each in sent} - {
                first.message.id
            }
            settled = await driver.settle([Complete(each.lease) for each in [first, *got]])
            assert settled == [Settled.DONE] * 5
            await live_a_life(driver)


async def test_lease_that_a_replica_never_received_never_shares_its_token() -> None:
    with running_postgres() as primary, running_postgres(primary=primary) as replica:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{replica.port}"
        url = f"postgresql://tester@{hosts}/postgres?timeout=5"
        await PostgresDriver(url).migrate()
        async with opened(PostgresDriver(url)) as driver:
            sent = message()
            await driver.enqueue([sent])
            await until_replayed(replica, primary)
            await until_detached(replica)
            [lost] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
            primary.crash()
            await asyncio.to_thread(replica.promote)
            take = partial(driver.reserve, {"q": 1}, limit=1, owner="two", lease=LEASE)
            [later] = await patiently(take)
            assert later.message == sent
            assert int(later.lease.token) > int(lost.lease.token)
            settled = await driver.settle([Complete(lost.lease), Complete(later.lease)])
            assert settled == [Settled.LOST, Settled.DONE]


async def until_replayed(replica: PostgresServer, primary: PostgresServer) -> None:
    """Wait until the replica has all that the primary has acknowledged."""
    async with asyncio.timeout(30.0):
        while not await asyncio.to_thread(replica.has_replayed, primary):
            await asyncio.sleep(0.02)


async def until_detached(replica: PostgresServer) -> None:
    """Let the replica receive nothing more from its primary."""
    await asyncio.to_thread(replica.execute, "ALTER SYSTEM SET primary_conninfo = ''")
    await asyncio.to_thread(replica.execute, "SELECT pg_reload_conf()")
    async with asyncio.timeout(30.0):
        while await asyncio.to_thread(replica.execute, "SELECT pid FROM pg_stat_wal_receiver"):
            await asyncio.sleep(0.02)
