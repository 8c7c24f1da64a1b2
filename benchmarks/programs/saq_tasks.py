"""SAQ on Redis or PostgreSQL doing the same work. Runs in its own environments, on uvloop.

Jobs keep their default time-out of ten seconds, without which nothing would find those of a worker
that was killed.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.programs.counting import TEXT, Count
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start

ATTEMPTS = 3
"""With its default of one, a job of a worker that was killed is found, and given up."""
count: list[Count] = []


async def noop(context: object, *, number: int, text: str) -> int:
    if count:
        count[0].one()
    return number


async def note_start(context: object, *, path: str) -> None:
    tell_start(path)


def make(url: str) -> Any:
    options = {"max_concurrent_ops": 100} if url.startswith("redis") else {}
    return importlib.import_module("saq").Queue.from_url(url, **options)


def worker(queue: Any, functions: list[Any]) -> Any:
    logging.getLogger("saq").setLevel(logging.ERROR)
    return importlib.import_module("saq").Worker(queue, functions, concurrency=100)


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    client = "redis" if url.startswith("redis") else "psycopg"
    answer(version=metadata.version("saq"), client=f"{client} {metadata.version(client)}")


async def install(url: str) -> None:
    """Create the tables, where there are some."""
    queue = make(url)
    await queue.connect()
    await queue.disconnect()
    answer()


async def gather(url: str, *, tasks: int) -> None:
    """Enqueue, a hundred calls at a time; SAQ has nothing for more at once."""
    queue = make(url)
    await queue.connect()
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, tasks, 100):
        await asyncio.gather(
            *(
                queue.enqueue("noop", number=start + n, text=TEXT, retries=ATTEMPTS)
                for n in range(100)
            )
        )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await queue.disconnect()
    answer(cpu_seconds=cpu, seconds=wall)


async def single(url: str, *, tasks: int) -> None:
    """Enqueue one, wait until it is accepted, enqueue the next."""
    queue = make(url)
    await queue.connect()
    await queue.enqueue("noop", number=0, text=TEXT, retries=ATTEMPTS)
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(tasks):
        await queue.enqueue("noop", number=number, text=TEXT, retries=ATTEMPTS)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await queue.disconnect()
    answer(cpu_seconds=cpu, seconds=wall)


async def drain(url: str, *, tasks: int) -> None:
    queue = make(url)
    await queue.connect()
    count.append(Count(tasks))
    working = asyncio.create_task(worker(queue, [noop]).start())
    await count[0].all()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    answer(cpu_seconds=count[0].cpu_seconds, seconds=count[0].seconds)


async def consume(url: str) -> None:
    queue = make(url)
    await queue.connect()
    await worker(queue, [note_start]).start()


async def latency(url: str, *, samples: int, path: str) -> None:
    queue = make(url)
    await queue.connect()
    taken = await latencies(lambda: queue.enqueue("note_start", path=path), path, samples)
    await queue.disconnect()
    answer(seconds=taken)


WAYS = {each.__name__: each for each in (version, install, gather, single, drain, consume, latency)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
