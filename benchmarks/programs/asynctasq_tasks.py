"""asynctasq on the store of a URL, in the ways in which peers are measured, too."""

import asyncio
import logging
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import asynctasq
from asynctasq import App, Worker, task
from benchmarks.programs.commands import run_command
from benchmarks.programs.counting import TEXT
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start
from benchmarks.programs.warning_log import WarningLog

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


async def install(url: str) -> None:
    """Create the tables, as users do."""
    await run_command(sys.executable, "-m", "asynctasq.cli", "migrate", "--driver", url)
    answer()


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


async def connections(url: str, *, tasks: int, apps: int) -> None:
    """Dispatch by several applications at once, each of which waits for one dispatch before the next."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(App({"driver": url})) for _ in range(apps)]

        async def dispatch(app: App, number: int) -> None:
            for each in range(number):
                await app.dispatch(noop(each, TEXT))

        await asyncio.gather(*(dispatch(app, 1) for app in made))
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(dispatch(app, tasks // apps) for app in made))
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


async def crowd(url: str, *, workers: int) -> None:
    """Run what is there by several workers, and count the warnings that they log."""
    warnings = WarningLog()
    logging.getLogger("asynctasq").addHandler(warnings)
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(App({"driver": url, "import_tasks": False}))
            for _ in range(workers)
        ]
        options: Any = {"concurrency": 100, "burst": True, "handle_signals": False}
        working = [Worker(app=app, queues=["default"], **options) for app in apps]
        wall = time.perf_counter()
        await asyncio.gather(*(worker.start() for worker in working))
        answer(seconds=time.perf_counter() - wall, warnings=warnings.texts)


async def consume(url: str) -> None:
    asynctasq.init({"driver": url})
    await Worker(queues=["default"], concurrency=100).start()


async def latency(url: str, *, samples: int, path: str, idle_seconds: float = 0.0) -> None:
    """Measure on a worker that has been idle for so long, and a moment more."""
    asynctasq.init({"driver": url})
    taken = await latencies(lambda: note_start.dispatch(path), path, samples, idle_seconds)
    answer(seconds=taken)


WAYS = {
    each.__name__: each
    for each in (install, bulk, single, gather, connections, drain, crowd, consume, latency)
}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    asynctasq.run(work)
