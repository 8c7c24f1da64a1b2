"""Taskiq with its stream broker doing the same work. Runs in its own environment, on uvloop.

`results` adds its store of results on the same server. What was acknowledged stays in its stream.
"""

import asyncio
import importlib
import logging
import os
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.programs.counting import TEXT, Count
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start

KEPT_SECONDS = 3600
count: list[Count] = []


def make(url: str, *, results: bool) -> Any:
    logging.getLogger("taskiq").setLevel(logging.ERROR)
    package: Any = importlib.import_module("taskiq_redis")
    broker = package.RedisStreamBroker(url, consumer_id="0")
    if results:
        backend = package.RedisAsyncResultBackend(url, result_ex_time=KEPT_SECONDS)
        broker = broker.with_result_backend(backend)
    return broker


def define(broker: Any) -> dict[str, Any]:
    async def noop(number: int, text: str) -> int:
        if count:
            count[0].one()
        return number

    async def note_start(path: str) -> None:
        tell_start(path)

    return {each.__name__: broker.task(each.__name__)(each) for each in (noop, note_start)}


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    answer(
        version=f"{metadata.version('taskiq')} with taskiq-redis {metadata.version('taskiq-redis')}",
        client=f"redis-py {metadata.version('redis')}",
    )


async def gather(url: str, *, tasks: int) -> None:
    broker = make(url, results=False)
    noop = define(broker)["noop"]
    await broker.startup()
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, tasks, 100):
        await asyncio.gather(*(noop.kiq(start + n, TEXT) for n in range(100)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await broker.shutdown()
    answer(cpu_seconds=cpu, seconds=wall)


async def drain(url: str, *, tasks: int, results: bool) -> None:
    broker = make(url, results=results)
    define(broker)
    count.append(Count(tasks))
    working = asyncio.create_task(_receive(broker))
    await count[0].all()
    answer(cpu_seconds=count[0].cpu_seconds, seconds=count[0].seconds)
    await asyncio.sleep(0.1)  # until the last are acknowledged
    assert not working.done()
    os._exit(0)  # a receiver that is cancelled goes on


async def _receive(broker: Any) -> None:
    broker.is_worker_process = True
    await broker.startup()
    await importlib.import_module("taskiq.api").run_receiver_task(
        broker, max_async_tasks=100, max_prefetch=100, validate_params=False
    )


async def consume(url: str) -> None:
    broker = make(url, results=False)
    define(broker)
    await _receive(broker)


async def latency(url: str, *, samples: int, path: str) -> None:
    broker = make(url, results=False)
    note_start = define(broker)["note_start"]
    await broker.startup()
    taken = await latencies(lambda: note_start.kiq(path), path, samples)
    await broker.shutdown()
    answer(seconds=taken)


WAYS = {each.__name__: each for each in (version, gather, drain, consume, latency)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
