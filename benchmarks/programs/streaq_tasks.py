"""streaQ doing the same work. Runs in its own environment, on uvloop."""

import asyncio
import importlib
import logging
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.programs.counting import TEXT, Count
from benchmarks.programs.protocol import answer, asked

AT_ONCE = 1000
count: list[Count] = []


def make(url: str) -> tuple[Any, Any]:
    logging.getLogger("streaq").setLevel(logging.ERROR)
    worker: Any = importlib.import_module("streaq").Worker(
        redis_url=url, concurrency=100, handle_signals=False
    )

    async def noop(number: int, text: str) -> int:
        if count:
            count[0].one()
        return number

    return worker, worker.task(noop)


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    answer(version=metadata.version("streaq"), client=f"coredis {metadata.version('coredis')}")


async def bulk(url: str, *, tasks: int) -> None:
    worker, noop = make(url)
    async with worker:
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, tasks, AT_ONCE):
            await worker.enqueue_many(
                [noop.enqueue(number, TEXT) for number in range(start, start + AT_ONCE)]
            )
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    answer(cpu_seconds=cpu, seconds=wall)


async def drain(url: str, *, tasks: int) -> None:
    worker, _ = make(url)
    count.append(Count(tasks))
    working = asyncio.create_task(worker.run_async())
    await count[0].all()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    answer(cpu_seconds=count[0].cpu_seconds, seconds=count[0].seconds)


WAYS = {each.__name__: each for each in (version, bulk, drain)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
