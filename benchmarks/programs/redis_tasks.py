"""asynctasq on Redis, in the ways in which peers are measured, too."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import asynctasq
from asynctasq import Worker, task
from benchmarks.programs.counting import TEXT
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start

SLEEP_SECONDS = 0.01


@task(name="bench.noop")
async def noop(number: int, text: str) -> int:
    """As little as a task can do."""
    return number


@task(name="bench.sleep")
async def sleep(number: int) -> int:
    """Sleep, as if for a database."""
    await asyncio.sleep(SLEEP_SECONDS)
    return number


@task(name="bench.note_start")
async def note_start(path: str) -> None:
    """Says when it begins."""
    tell_start(path)


async def bulk(url: str, *, tasks: int, sleeping: bool = False, ready_at: float = 0.0) -> None:
    """Dispatch in bulk; with `ready_at` (since the epoch) they are scheduled for then."""
    asynctasq.init({"driver": url})
    await asynctasq.dispatch_many([noop(0, TEXT).on_queue("warm")])
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, tasks, 100_000):
        numbers = range(start, min(start + 100_000, tasks))
        if ready_at:
            calls: list[Any] = [noop(n, TEXT).options(eta=ready_at) for n in numbers]
        else:
            calls = [sleep(n) if sleeping else noop(n, TEXT) for n in numbers]
        await asynctasq.dispatch_many(calls)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def single(url: str, *, tasks: int) -> None:
    """Dispatch one, wait until it is accepted, dispatch the next."""
    asynctasq.init({"driver": url})
    await noop.dispatch(0, TEXT)
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(tasks):
        await noop.dispatch(number, TEXT)
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def gather(url: str, *, tasks: int) -> None:
    """Dispatch by a hundred concurrent calls."""
    asynctasq.init({"driver": url})
    await noop.dispatch(0, TEXT)
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, tasks, 100):
        await asyncio.gather(*(noop.dispatch(start + n, TEXT) for n in range(100)))
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def drain(url: str, *, tasks: int | None = None, begin_at: float = 0.0) -> None:
    """Run what is there, or so many of it; from `begin_at` of the machine's clock on."""
    asynctasq.init({"driver": url})
    await Worker(queues=["warm"], concurrency=100, burst=True).start()
    worker = Worker(queues=["default"], concurrency=100, burst=tasks is None, max_tasks=tasks)
    await asyncio.sleep(max(begin_at - time.monotonic(), 0))
    begun_at = time.monotonic()
    cpu, wall = time.process_time(), time.perf_counter()
    await worker.start()
    answer(
        cpu_seconds=time.process_time() - cpu,
        seconds=time.perf_counter() - wall,
        begun_at=begun_at,
        ended_at=time.monotonic(),
    )


async def consume(url: str) -> None:
    asynctasq.init({"driver": url})
    await Worker(queues=["default"], concurrency=100).start()


async def latency(url: str, *, samples: int, path: str) -> None:
    asynctasq.init({"driver": url})
    taken = await latencies(lambda: note_start.dispatch(path), path, samples)
    answer(seconds=taken)


WAYS = {each.__name__: each for each in (bulk, single, gather, drain, consume, latency)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    asynctasq.run(work)
