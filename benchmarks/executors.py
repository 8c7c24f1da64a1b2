"""The cost of the execution modes: `python benchmarks/executors.py [--quick] [--only PART]`.

The command exits with 1 if a bar is missed. Throughput is compared with the bare pool of the standard
library, measured in turns with it. Each part runs in its own process.
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import asynctasq
from asynctasq import App, Worker, hookimpl, task

CHILDREN = 2
THREADS = 100
ROUNDS = 5
TASKS, QUICK_TASKS = 20_000, 5_000  # starting the threads counts, too
WATCHED_SECONDS = 30.0
"""The time for which the writes of a worker are counted."""
BURN_SECONDS = 0.1


@task
async def on_loop(number: int) -> None:
    """Do nothing."""


@task
def in_thread(number: int) -> None:
    """Do nothing."""


@task(process=True)
def in_process(number: int) -> None:
    """Do nothing."""


@task(process=True)
async def in_process_loop(number: int) -> None:
    """Do nothing."""


@task
def millisecond(number: int) -> None:
    """Sleep as a blocking library does."""
    time.sleep(0.001)


@task(process=True)
def compute(number: int) -> None:
    """Compute for 100 ms of CPU."""
    burn(number)


@task
async def asleep(number: int) -> None:
    """Sleep for longer than the measurement takes."""
    await asyncio.sleep(3600)


def nothing(number: int) -> None:
    """Do nothing."""


def doze(number: int) -> None:
    """Sleep for a millisecond."""
    time.sleep(0.001)


def burn(number: int) -> None:
    """Compute for 100 ms of CPU."""
    end = time.process_time() + BURN_SECONDS
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


def tell(what: str, value: float, unit: str, *, least: float = 0.0, most: float = inf) -> None:
    """Print a figure and its bar."""
    bar = f"at least {least:g}" if least else f"at most {most:g}"
    met = least <= value <= most
    missed.extend([what] * (not met))
    print(f"{what:<40} {value:>9.2f} {unit:<16} {bar:<14} {'met' if met else 'MISSED'}")


missed: list[str] = []


def compare(
    what: str,
    kind: Callable[[int], Any],
    pool: Callable[[], Executor],
    function: Callable[[int], None],
    count: int,
    *,
    least: float,
    options: Mapping[str, Any],
) -> list[float]:
    """Print both throughputs and their ratio, medians of some rounds; returns our throughputs."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(count / asynctasq.run(measured(kind, count, **options)).seconds)
        theirs.append(count / bare(pool(), function, count))
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    print(f"{what:<40} {median(ours):>9,.0f}/s, bare {median(theirs):,.0f}/s")
    tell("    ratio", ratio, "", least=least)
    return ours


def measure_processes(count: int) -> None:
    """Against those of the standard library."""
    processes = partial(ProcessPoolExecutor, CHILDREN)
    few = {"concurrency": THREADS}
    compare("no-op, 2 processes", in_process, processes, nothing, count, least=0.8, options=few)
    compare(
        "async no-op, 2 processes",
        in_process_loop,
        processes,
        nothing,
        count,
        least=0.8,
        options=few,
    )
    burnt = compare(
        "100 ms of CPU, 2 processes", compute, processes, burn, 40, least=0.9, options=few
    )
    tell(
        "    of what two processors can do", median(burnt) * BURN_SECONDS / CHILDREN, "", least=0.9
    )


def measure_threads(count: int) -> None:
    """Against those of the standard library."""
    threads = partial(ThreadPoolExecutor, THREADS)
    options = {"concurrency": THREADS}
    compare("1 ms, 100 threads", millisecond, threads, doze, count, least=0.7, options=options)


def measure_cpu(count: int) -> None:
    """CPU of the worker's process for each task; the least of some rounds, as noise only adds."""
    loop, thread = (
        min(asynctasq.run(measured(kind, count)).cpu for _ in range(ROUNDS)) / count * 1e6
        for kind in (on_loop, in_thread)
    )
    tell("CPU of a no-op on the loop", loop, "us", most=30.0)
    tell("CPU of a no-op in a thread: more", thread - loop, "us", most=25.0)


def measure_sleepers(tasks: int) -> None:
    """Many tasks asleep at once on sqlite: memory of the worker, and what it writes meanwhile."""
    count, seconds = tasks // 2, WATCHED_SECONDS * tasks / TASKS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "asleep.db")
        url = f"sqlite:///{path}"
        asyncio.run(_send_sleepers(url, count))
        command = [sys.executable, "-m", "asynctasq.cli", "worker", "--app", "executors"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        arguments = ["--driver", url, "--concurrency", str(count), "--log-level", "warning"]
        with subprocess.Popen([*command, *arguments], env=environment) as worker:
            try:
                store = sqlite3.connect(path)
                while _one(store, "SELECT count(*) FROM messages WHERE state = 5") < count:
                    time.sleep(0.2)
                time.sleep(1.0)
                commits = _commits(store, seconds)
                store.close()
                memory = _resident_mib(worker.pid)
            finally:
                worker.kill()
    tell(f"{count:,} tasks asleep: memory", memory, "MiB", most=100.0)
    tell(f"{count:,} tasks asleep: writes", commits / seconds, "a second", most=1.0)


async def _send_sleepers(url: str, count: int) -> None:
    async with App({"driver": url}) as app:
        await app.dispatch_many(asleep(number) for number in range(count))


def _commits(store: sqlite3.Connection, seconds: float) -> int:
    """Count the commits of other processes to the file."""
    end = time.monotonic() + seconds
    seen, changes = _one(store, "PRAGMA data_version"), 0
    while time.monotonic() < end:
        time.sleep(0.01)
        now = _one(store, "PRAGMA data_version")
        changes += now != seen
        seen = now
    return changes


def _one(store: sqlite3.Connection, query: str) -> int:
    [(value,)] = store.execute(query).fetchall()
    return int(value)


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


PARTS = {
    "processes": measure_processes,
    "threads": measure_threads,
    "cpu": measure_cpu,
    "sleepers": measure_sleepers,
}


def main() -> int:
    """Measure everything, or one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks")
    parser.add_argument("--only", choices=PARTS)
    asked = parser.parse_args()
    if asked.only:
        logging.disable(logging.INFO)
        PARTS[asked.only](QUICK_TASKS if asked.quick else TASKS)
        return int(bool(missed))
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}")
    again = [sys.executable, __file__, *["--quick"] * asked.quick, "--only"]
    ended_with = []
    for part in PARTS:
        print(f"load {os.getloadavg()[0]:.1f}", flush=True)
        ended_with.append(subprocess.run([*again, part], check=False).returncode)
    return max(ended_with)


if __name__ == "__main__":
    root = str(Path(__file__).resolve().parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    sys.exit(main())
