"""What threads and processes cost: `python benchmarks/executors.py [--quick]`.

Each figure stands beside that of the bare pool of the standard library, measured in turns with it.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import asynctasq
from asynctasq import App, Worker, hookimpl, task

CHILDREN = 2
THREADS = 100
ROUNDS = 5


@task
async def on_loop(number: int) -> None:
    """Does nothing."""


@task
def in_thread(number: int) -> None:
    """Does nothing."""


@task(process=True)
def in_process(number: int) -> None:
    """Does nothing."""


@task(process=True)
async def in_process_loop(number: int) -> None:
    """Does nothing."""


@task
def millisecond(number: int) -> None:
    """Waits as a blocking library does."""
    time.sleep(0.001)


@task(process=True)
def compute(number: int) -> None:
    """Computes for 100 ms of CPU."""
    burn(number)


def nothing(number: int) -> None:
    """Does nothing."""


def doze(number: int) -> None:
    """Waits for a millisecond."""
    time.sleep(0.001)


def burn(number: int) -> None:
    """Computes for 100 ms of CPU."""
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass


@dataclass
class Stopwatch:
    """From the first fetch to the last settlement; children are warm by then."""

    started: float = 0.0
    seconds: float = 0.0
    cpu_started: float = 0.0
    cpu: float = 0.0
    context: Any = field(default=None)

    @hookimpl
    def worker_started(self) -> None:
        """Begin."""
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    @hookimpl
    def worker_stopping(self) -> None:
        """End."""
        self.seconds = time.perf_counter() - self.started
        self.cpu = time.process_time() - self.cpu_started


async def measured(kind: Callable[[int], Any], count: int, **options: Any) -> Stopwatch:
    """Run so many tasks."""
    app = App({"driver": "memory", "process_pool_size": CHILDREN})
    watch = Stopwatch()
    app.plugins.register(watch)
    async with app:
        await app.dispatch_many(kind(number) for number in range(count))
        await Worker(app=app, burst=True, handle_signals=False, **options).start()
    return watch


def bare(pool: Executor, function: Callable[[int], None], count: int) -> float:
    """Seconds that a pool of the standard library takes."""
    with pool:
        for warm in [pool.submit(nothing, number) for number in range(200)]:
            warm.result()
        started = time.perf_counter()
        for future in [pool.submit(function, number) for number in range(count)]:
            future.result()
        return time.perf_counter() - started


def compare(
    what: str,
    kind: Callable[[int], Any],
    pool: Callable[[], Executor],
    function: Callable[[int], None],
    count: int,
) -> None:
    """Print both throughputs and their ratio: the medians of some rounds."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(count / asynctasq.run(measured(kind, count, concurrency=THREADS)).seconds)
        theirs.append(count / bare(pool(), function, count))
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    print(
        f"{what:<36} {median(ours):>9,.0f}/s   bare {median(theirs):>9,.0f}/s   ratio {ratio:.2f}"
    )


def main(count: int) -> None:
    """Measure everything."""
    logging.disable(logging.INFO)
    print(
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, Python {sys.version.split()[0]}"
    )
    compare("no-op, 2 processes", in_process, lambda: ProcessPoolExecutor(CHILDREN), nothing, count)
    compare(
        "async no-op, 2 processes",
        in_process_loop,
        lambda: ProcessPoolExecutor(CHILDREN),
        nothing,
        count,
    )
    compare("1 ms, 100 threads", millisecond, lambda: ThreadPoolExecutor(THREADS), doze, count)
    compare("100 ms of CPU, 2 processes", compute, lambda: ProcessPoolExecutor(CHILDREN), burn, 40)
    costs = [
        min(asynctasq.run(measured(kind, count)).cpu for _ in range(ROUNDS)) / count * 1e6
        for kind in (on_loop, in_thread)
    ]
    print(f"CPU of a no-op: {costs[0]:.1f} us on the loop, {costs[1]:.1f} us in a thread")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    root = str(Path(__file__).resolve().parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    main(2_000 if "--quick" in sys.argv else 20_000)
