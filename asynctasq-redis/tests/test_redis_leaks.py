"""Finished messages expire or are deleted, and leave no key behind."""

import asyncio
from collections.abc import Callable
from typing import Any

import redis

from asynctasq.contracts.capabilities import WorkerInfo
from asynctasq.message import Message, OnConflict, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settlement,
)
from asynctasq_redis import RedisDriver
from tests.servers.redis import lasting_keys

ERROR = ErrorInfo("shop.OutOfStock", "no more blue ones", "Traceback")
KINDS: list[dict[str, Any]] = [
    {},
    {"delay": 5.0},
    {"expires": 1000.0},
    {"unique": Unique("settled")},
    {"unique": Unique("started", UniqueUntil.STARTED), "expires": 1000.0},
    {"unique": Unique("period", UniqueUntil.PERIOD, OnConflict.EXTEND, 30.0)},
    {"priority": 9, "headers": {"a": "b"}},
]


def _messages() -> list[Message]:
    return [Message(new_id(), "q", "task", b"body", **kind) for kind in KINDS]


async def test_keys_of_ended_messages_expire(
    make_driver: Callable[..., RedisDriver], client: "redis.Redis", namespace: str
) -> None:
    driver = make_driver()
    await driver.open()
    try:
        await driver.record_worker(WorkerInfo("w", "h", 1, 0.0, ("q",), 1, 0, "1"), ttl=30.0)
        await driver.pause("paused")
        await driver.resume("paused")
        waiting = asyncio.create_task(driver.wait(["q", "other"], timeout=60.0))
        awaited = asyncio.create_task(driver.wait_results([new_id()], timeout=60.0))
        await asyncio.sleep(0.05)
        endings: list[Callable[..., Settlement]] = [
            lambda lease: Complete(lease, b"result"),
            lambda lease: Cancelled(lease, 10.0),
            lambda lease: Fail(lease, Reason.FAILED, ERROR),
        ]
        for ending in endings:
            await driver.enqueue(_messages())
            driver.clock_offset += 10.0
            first = await driver.reserve({"q": 100}, limit=100, owner="one", lease=5.0)
            assert len(first) == len(KINDS)
            await driver.set_progress([(delivery.lease, b"half") for delivery in first])
            await driver.cancel([first[0].message.id])
            await driver.settle([Retry(first[1].lease, 0.0, ERROR)])
            await driver.settle([Release(d.lease, mismatched=True) for d in first[2:4]])
            driver.clock_offset += 10.0  # the others are reclaimed, after the pause for the jump
            await driver.reserve({"other": 1}, limit=1, owner="two", lease=0.000_002)
            second = await driver.reserve({"q": 100}, limit=100, owner="two", lease=5.0)
            assert len(second) == len(KINDS) - 1
            await driver.settle([ending(delivery.lease) for delivery in second])
            driver.clock_offset += 30.0
        dead = await driver.dead_letters(queue="q")
        ids = [letter.message.id for letter in dead.items]
        assert await driver.requeue(ids[:2]) == [True, True]
        await driver.cancel(ids[:1])
        assert await driver.delete_dead(ids[2:4]) == [True, True]
        await driver.purge("q", states={State.READY, State.DEAD})
        driver.clock_offset += 100.0
        for lease in (0.000_002, 5.0):
            assert await driver.reserve({"q": 1}, limit=1, owner="three", lease=lease) == []
        for task in (waiting, awaited):
            task.cancel()
        await asyncio.gather(waiting, awaited, return_exceptions=True)
    finally:
        await driver.close()
    assert lasting_keys(client, namespace) == []
