"""Calls that add one message, which a function of their own handles."""

from collections.abc import Callable

import asyncpg

from asynctasq.settlement import Complete
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened


async def test_message_reaches_a_namespace_that_was_made_again(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        await driver.enqueue([message()])
        connection = await asyncpg.connect(driver.settings.url)
        try:
            [number] = await connection.fetchrow(
                "DELETE FROM asynctasq.namespaces WHERE name = $1 RETURNING key",
                driver.settings.namespace,
            )
            await connection.execute("DELETE FROM asynctasq.queues WHERE namespace = $1", number)
        finally:
            await connection.close()
        for expected in (1, 2):
            [answer] = await driver.enqueue([message()])
            assert answer.created
            assert (await driver.count("q")).ready == expected


async def test_message_that_is_known_is_not_added_again(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        known = message()
        [first] = await driver.enqueue([known])
        [second] = await driver.enqueue([known])
        assert (first.created, second.created, second.id) == (True, False, known.id)
        [delivery] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=60.0)
        [third] = await driver.enqueue([known])
        await driver.settle([Complete(delivery.lease)])
        [fourth] = await driver.enqueue([known])
        assert (third.created, fourth.created) == (False, False)
        assert (await driver.count("q")).ready == 0
