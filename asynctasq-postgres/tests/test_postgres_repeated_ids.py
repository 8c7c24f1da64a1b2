"""Calls that name an ID twice."""

from collections.abc import Callable
from dataclasses import replace

import asyncpg

from asynctasq.message import OnConflict, Unique, UniqueUntil
from asynctasq_postgres import PostgresDriver
from asynctasq_postgres.adapters.asyncpg_connections import AsyncpgAdapter
from tests.drivers.opening import message, opened


async def test_message_is_added_although_a_key_kept_another_of_its_id_out(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        holder = message(unique=Unique("k", until=UniqueUntil.PERIOD, period=200.0))
        refused = message(unique=Unique("k", on_conflict=OnConflict.SKIP))
        plain = replace(refused, unique=None, queue="other")
        [_, kept_out, added, known] = await driver.enqueue([holder, refused, plain, plain])
        assert (kept_out.id, kept_out.created) == (holder.id, False)
        assert (added.id, added.created) == (plain.id, True)
        assert (known.id, known.created) == (plain.id, False)
        assert (await driver.count("other")).ready == 1


async def test_messages_of_a_call_that_repeats_an_id_have_one_due_time(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        first, second, third = sorted((message() for _ in range(3)), key=lambda each: each.id)
        keyed = replace(third, unique=Unique("k", until=UniqueUntil.PERIOD, period=200.0))
        await driver.enqueue([keyed, second, keyed, first])
        found = await driver.reserve({"q": 9}, limit=9, owner="one", lease=60.0)
        assert [each.message.id for each in found] == [first.id, second.id, third.id]
        assert len({each.enqueued_at for each in found}) == 1


async def test_message_of_a_transaction_is_added_although_a_key_kept_another_of_its_id_out(
    make_driver: Callable[..., PostgresDriver],
) -> None:
    async with opened(make_driver()) as driver:
        await driver.enqueue([message(unique=Unique("k"))])
        refused = message(unique=Unique("k"))
        plain = replace(refused, unique=None, queue="other")
        connection = await asyncpg.connect(driver.settings.url)
        try:
            async with connection.transaction():
                plan = driver.plan_enqueue([refused, plain])
                [kept_out, added] = await AsyncpgAdapter().run(connection, plan, None)
        finally:
            await connection.close()
        assert (kept_out.created, added.created, added.id) == (False, True, plain.id)
        assert (await driver.count("other")).ready == 1
