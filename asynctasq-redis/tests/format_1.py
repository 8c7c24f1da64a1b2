"""Write a namespace in format 1 that holds every state, and print its keys as JSON.

Run it with the interpreter of a checkout of revision 43cf731, which is the last one that writes that format:

    python format_1.py redis://localhost:6379 >format_1.json

The server must be empty. A test moves the clock of its driver to shortly after `written_at`.
"""

import asyncio
import json
import sys
import time
from typing import Any

import redis

from asynctasq.message import Message, Unique, UniqueUntil, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason, Release, Retry
from asynctasq_redis import RedisDriver

ERROR = ErrorInfo("builtins.ValueError", "no", "traceback")
ALL = {"q": 1000, "other": 1000}


class Writer:
    """Puts messages into a state each, by name."""

    def __init__(self, driver: RedisDriver) -> None:
        self.driver = driver
        self.messages: dict[str, Message] = {}

    async def add(self, name: str, queue: str = "q", **fields: Any) -> Message:
        """Enqueue a message."""
        body = fields.pop("body", name.encode())
        message = Message(new_id(), queue, f"task.{name}", body, **fields)
        self.messages[name] = message
        await self.driver.enqueue([message])
        return message

    async def lease(self, owner: str, lease: float = 30.0) -> list[Any]:
        """Lease everything that is ready."""
        return await self.driver.reserve(ALL, limit=1000, owner=owner, lease=lease)

    async def settle(self, name: str, make: Any, **fields: Any) -> None:
        """Enqueue a message, lease it and settle it."""
        message = await self.add(name, **fields)
        [delivery] = [each for each in await self.lease("settler") if each.message.id == message.id]
        await self.driver.settle([make(delivery.lease)])

    async def write(self) -> None:
        """Write every state."""
        week = 7 * 86_400.0
        await self.settle("completed", lambda lease: Complete(lease, b"result", week))
        await self.settle("completed_empty", lambda lease: Complete(lease, None, week))
        await self.settle("failed", lambda lease: Fail(lease, Reason.FAILED, ERROR))
        await self.settle("retried", lambda lease: Retry(lease, 3600.0, ERROR), priority=7)
        await self.settle("mismatched", lambda lease: Release(lease, 3600.0, True))
        cancelled = await self.add("cancelled", result_ttl=week)
        await self.driver.cancel([cancelled.id])
        await self.add("lost", max_lost=0)
        await self.add("leased")
        flagged = await self.add("flagged", result_ttl=week)
        leased = await self.lease("gone")
        await self.driver.set_progress([(each.lease, b"half") for each in leased])
        await self.driver.cancel([flagged.id])
        await self.add("ready")
        await self.add("ready_elsewhere", "other", headers={"trace": "1"})
        await self.add("urgent", priority=9)
        await self.add("large", body=bytes(20_000))
        await self.add("scheduled", delay=3600.0)
        await self.add("expiring", expires=1e9)
        await self.add("unique_until_started", unique=Unique("started", UniqueUntil.STARTED))
        await self.add("unique_until_settled", unique=Unique("settled"))
        await self.add(
            "unique_for_a_period", unique=Unique("period", UniqueUntil.PERIOD, period=1e9)
        )
        await self.driver.pause("paused")


def contents(client: "redis.Redis") -> list[dict[str, Any]]:
    """Return all keys: name, kind, time to live in milliseconds or -1, and values."""
    found: list[dict[str, Any]] = []
    keys: list[Any] = client.keys("*")
    for key in sorted(keys):
        stored: Any = client.type(key)
        kind = stored.decode()
        values: list[Any]
        match kind:
            case "string":
                values = [client.get(key)]
            case "hash":
                fields: Any = client.hgetall(key)
                values = [part for pair in sorted(fields.items()) for part in pair]
            case "set":
                members: Any = client.smembers(key)
                values = sorted(members)
            case _:
                rows: Any = client.zrange(key, 0, -1, withscores=True)
                values = [part for one, score in rows for part in (b"%.0f" % score, one)]
        found.append(
            {
                "key": key.hex(),
                "kind": kind,
                "milliseconds": client.pttl(key),
                "values": [value.hex() for value in values],
            }
        )
    return found


async def main(url: str) -> None:
    """Write the namespace and print it."""
    driver = RedisDriver(url)
    await driver.open()
    writer = Writer(driver)
    await writer.write()
    await driver.close()
    with redis.Redis.from_url(url) as client:
        keys = contents(client)
    ids = {name: message.id.hex() for name, message in writer.messages.items()}
    print(json.dumps({"written_at": time.time(), "ids": ids, "keys": keys}, indent=1))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
