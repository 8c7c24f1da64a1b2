"""The best that Redis and an event loop can do: loops of redis-py without any guarantee."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import msgpack
import uvloop
from redis.asyncio import Redis

from asynctasq.message import Message, new_id
from asynctasq_redis import RedisDriver
from asynctasq_redis.enqueueing import simple_arguments
from asynctasq_redis.scripts import script
from benchmarks.programs.counting import TEXT
from benchmarks.programs.protocol import answer, asked

BATCH = 100
RESULT_MILLISECONDS = 3_600_000
SLEEP_SECONDS = 0.01


def connect(url: str) -> Any:
    return Redis.from_url(url, protocol=2)  # redis-py's annotations are not of its async client


async def fill(url: str, *, tasks: int) -> None:
    client = connect(url)
    bodies = [new_id() + msgpack.packb([number, TEXT]) for number in range(tasks)]
    for start in range(0, tasks, 1000):
        await client.execute_command("RPUSH", "bare", *bodies[start : start + 1000])
    await client.aclose()
    answer()


async def _noop(number: int, text: str) -> int:
    return number


async def drain(url: str) -> None:
    """Claim a hundred in one transaction, decode, run, and acknowledge with results in one pipeline."""
    client = connect(url)
    await client.ping()
    cpu, wall = time.process_time(), time.perf_counter()
    while True:
        claim = client.pipeline(transaction=True)
        claim.lrange("bare", 0, BATCH - 1)
        claim.ltrim("bare", BATCH, -1)
        bodies, _ = await claim.execute()
        if not bodies:
            break
        claimed = [part for body in bodies for part in (body[:16], body[16:])]
        await client.execute_command("HSET", "claimed", *claimed)
        calls = [_noop(*msgpack.unpackb(body[16:])) for body in bodies]
        results = await asyncio.gather(*calls)
        settle = client.pipeline(transaction=False)
        settle.hdel("claimed", *(body[:16] for body in bodies))
        for body, result in zip(bodies, results, strict=True):
            settle.set(b"result:" + body[:16], msgpack.packb(result), px=RESULT_MILLISECONDS)
        await settle.execute()
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    await client.aclose()


async def single(url: str, *, tasks: int, body: int) -> None:
    """Awaited calls of the script by which we enqueue, with as many bytes."""
    driver = RedisDriver(url)
    await driver.open()
    await driver.enqueue([Message(new_id(), "default", "bench.noop", bytes(body))])
    await driver.close()
    client = connect(url)
    head = ("EVALSHA", script("enqueue_one").digest, 1, b"{asynctasq}:2:", 0)
    messages = [Message(new_id(), "default", "bench.noop", bytes(body)) for _ in range(tasks)]
    calls = [(*head, *simple_arguments(message)) for message in messages]
    cpu, wall = time.process_time(), time.perf_counter()
    for call in calls:
        await client.execute_command(*call)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    await client.aclose()


async def sleep(url: str, *, tasks: int) -> None:
    """Run a hundred coroutines that sleep as often as the tasks do together. No server is used."""
    left = tasks
    cpu, wall = time.process_time(), time.perf_counter()

    async def one() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await asyncio.sleep(SLEEP_SECONDS)

    await asyncio.gather(*(one() for _ in range(BATCH)))
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


WAYS = {each.__name__: each for each in (fill, drain, single, sleep)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    uvloop.run(work)
