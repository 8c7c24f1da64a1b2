"""A worker sleeps as long as nothing can happen."""

import asyncpg

from asynctasq.message import Message, new_id
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import opened

LOOK = "SELECT ready, until FROM asynctasq.look_1($1, $2, 0)"


async def test_no_time_is_named_for_the_next_look_if_there_are_no_leases(
    url: str, namespace: str
) -> None:
    """Otherwise, an idle worker would look without a pause."""
    async with opened(PostgresDriver(url, namespace=namespace)) as driver:
        await driver.enqueue([Message(new_id(), "other", "t", b"")])
        assert not await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchrow(LOOK, namespace, ["q"])
    finally:
        await connection.close()
    assert tuple(found) == (False, None)
