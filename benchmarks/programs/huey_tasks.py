"""Huey with its SQLite store, doing the same work. Runs in its own environment.

One thread: more of them wait for the file's lock and for Python's, and are slower. `fsync` decides
whether a write survives a power failure, as it always does with ours.
"""

import importlib
import logging
import time
from pathlib import Path
from typing import Any

from benchmarks.programs.protocol import answer, asked

POLL_SECONDS = 0.02
"""As often as our own driver looks for the work of other processes."""

ran: list[int] = []


def make(path: str, *, fsync: bool) -> Any:
    huey: Any = importlib.import_module("huey")
    logging.getLogger("huey").setLevel(logging.ERROR)
    return huey.SqliteHuey("bench", filename=path, fsync=fsync)


def define(huey: Any) -> dict[str, Any]:
    def noop(number: int) -> int:
        ran.append(number)
        return number

    def tell_start() -> int:
        return time.monotonic_ns()

    def mark(folder: str, number: int, seconds: float) -> None:
        (Path(folder) / f"begun-{number}").touch()
        time.sleep(seconds)
        (Path(folder) / f"ended-{number}").touch()

    return {each.__name__: huey.task()(each) for each in (noop, tell_start, mark)}


def consumer(huey: Any, workers: int) -> Any:
    return huey.create_consumer(
        workers=workers,
        periodic=False,
        initial_delay=POLL_SECONDS,
        max_delay=POLL_SECONDS,
        backoff=1.0,
        check_worker_health=False,
    )


def version() -> None:
    metadata = importlib.import_module("importlib.metadata")
    answer(version=metadata.version("huey"))


def speed(path: str, *, fsync: bool, workers: int, tasks: int, seconds: float) -> None:
    """Tasks that are run within some seconds, by threads of this process."""
    filling = make(path, fsync=False)
    noop = define(filling)["noop"]
    for number in range(tasks):
        noop(number)
    filling.storage.close()
    huey = make(path, fsync=fsync)
    define(huey)
    working = consumer(huey, workers)
    ran.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    working.start()
    while time.perf_counter() - wall < seconds and len(ran) < tasks:
        time.sleep(0.005)
    done = len(ran)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    working.stop(graceful=True)
    answer(cpu_seconds=cpu, seconds=wall, done=done)


def latency(path: str, *, samples: int) -> None:
    """From the call to the first line, by a consumer in another process."""
    huey = make(path, fsync=True)
    tell_start = define(huey)["tell_start"]
    taken = []
    for _ in range(samples + 5):
        begun = time.monotonic_ns()
        started = tell_start()(blocking=True, timeout=30, backoff=1.0, max_delay=0.01)
        taken.append((started - begun) / 1e9)
        time.sleep(0.06)
    answer(seconds=taken[5:])


def consume(path: str, *, workers: int) -> None:
    huey = make(path, fsync=True)
    define(huey)
    consumer(huey, workers).run()


def enqueue(path: str, *, marks: str, tasks: int, seconds: float) -> None:
    huey = make(path, fsync=True)
    mark = define(huey)["mark"]
    for number in range(tasks):
        mark(marks, number, seconds)
    answer()


WAYS = {each.__name__: each for each in (version, speed, latency, consume, enqueue)}

if __name__ == "__main__":
    parameters = asked()
    WAYS[parameters.pop("way")](**parameters)
