"""Searches begin where the last one has found something, as long as they are slow otherwise."""

from uuid import uuid4

import asyncpg

from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, Release
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import opened


async def test_no_message_is_overlooked_while_a_transaction_is_open(url: str) -> None:
    driver = PostgresDriver(url, namespace=uuid4().hex)
    foreign = await asyncpg.connect(url)
    transaction = foreign.transaction(isolation="repeatable_read")
    await transaction.start()
    await foreign.fetchval("SELECT count(*) FROM asynctasq.meta")
    async with opened(driver):
        messages = [Message(new_id(), "q", "t", b"body") for _ in range(8_000)]
        for at in range(0, 8_000, 1_000):
            await driver.enqueue(messages[at : at + 1_000])
        done: set[bytes] = set()
        released = False
        while len(done) < len(messages):
            deliveries = await driver.reserve({"q": 500}, limit=500, owner="w", lease=60.0)
            if not released and done:
                await driver.settle([Release(delivery.lease) for delivery in deliveries])
                released = True
                continue
            await driver.settle([Complete(delivery.lease) for delivery in deliveries])
            done |= {delivery.message.id for delivery in deliveries}
    await transaction.rollback()
    await foreign.close()
    assert done == {message.id for message in messages}
