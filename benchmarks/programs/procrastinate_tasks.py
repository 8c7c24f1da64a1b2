"""Procrastinate doing the same work. Runs in its own environment, on uvloop."""

import asyncio
import importlib
import logging
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.programs.counting import TEXT, Count
from benchmarks.programs.protocol import answer, asked

AT_ONCE = 1000
CONNECTIONS = 20
count: list[Count] = []


def make(url: str) -> tuple[Any, Any]:
    package: Any = importlib.import_module("procrastinate")
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    connector = package.PsycopgConnector(conninfo=url, max_size=CONNECTIONS)
    app = package.App(connector=connector)

    async def noop(number: int, text: str) -> int:
        if count:
            count[0].one()
        return number

    return app, app.task(name="noop")(noop)


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    client = f"psycopg {metadata.version('psycopg')}"
    answer(version=metadata.version("procrastinate"), client=client)


async def install(url: str) -> None:
    app, _ = make(url)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
    answer()


async def bulk(url: str, *, tasks: int) -> None:
    """Defer a thousand in one statement."""
    app, noop = make(url)
    async with app.open_async():
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, tasks, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, tasks))
            await noop.batch_defer_async(*({"number": n, "text": TEXT} for n in numbers))
        answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def single(url: str, *, tasks: int) -> None:
    """Defer one, wait until it is accepted, defer the next."""
    app, noop = make(url)
    async with app.open_async():
        await noop.defer_async(number=0, text=TEXT)
        cpu, wall = time.process_time(), time.perf_counter()
        for number in range(tasks):
            await noop.defer_async(number=number, text=TEXT)
        answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def drain(url: str, *, tasks: int) -> None:
    app, _ = make(url)
    async with app.open_async():
        count.append(Count(tasks))
        worker = app.run_worker_async(concurrency=100, install_signal_handlers=False)
        working = asyncio.create_task(worker)
        await count[0].all()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    answer(cpu_seconds=count[0].cpu_seconds, seconds=count[0].seconds)


WAYS = {each.__name__: each for each in (version, install, bulk, single, drain)}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
