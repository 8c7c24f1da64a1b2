"""PgQueuer doing the same work at its best settings. Runs in its own environment, on uvloop.

Batches of 100 over a pool of connections; a connection of its own where one call follows the other.
"""

import asyncio
import importlib
import json
import logging
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from benchmarks.programs.commands import run_command
from benchmarks.programs.counting import TEXT, Count
from benchmarks.programs.protocol import answer, asked
from benchmarks.programs.starts import latencies, tell_start

BATCH = 100
AT_ONCE = 1000
count: list[Count] = []


async def version(url: str) -> None:
    metadata = importlib.import_module("importlib.metadata")
    answer(version=metadata.version("pgqueuer"), client=f"asyncpg {metadata.version('asyncpg')}")


async def install(url: str) -> None:
    """Create the tables, each of them durable."""
    command = str(Path(sys.executable).parent / "pgq")
    await run_command(command, "--pg-dsn", url, "install", "--durability", "durable")
    answer()


async def _pool(url: str) -> Any:
    return await importlib.import_module("asyncpg").create_pool(url)


def _queries(driver: Any) -> Any:
    return importlib.import_module("pgqueuer.queries").Queries(driver)


def _payload(number: int) -> bytes:
    return json.dumps([number, TEXT]).encode()


async def bulk(url: str, *, tasks: int) -> None:
    """Enqueue a thousand in one statement."""
    async with await _pool(url) as pool:
        queries = _queries(importlib.import_module("pgqueuer.db").AsyncpgPoolDriver(pool))
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, tasks, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, tasks))
            payloads = [_payload(number) for number in numbers]
            await queries.enqueue(["noop"] * len(numbers), payloads, [0] * len(numbers))
        answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def gather(url: str, *, tasks: int) -> None:
    """Enqueue by a hundred concurrent calls."""
    async with await _pool(url) as pool:
        queries = _queries(importlib.import_module("pgqueuer.db").AsyncpgPoolDriver(pool))
        await queries.enqueue("noop", _payload(0))
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, tasks, 100):
            calls = (queries.enqueue("noop", _payload(start + n)) for n in range(100))
            await asyncio.gather(*calls)
        answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


async def single(url: str, *, tasks: int) -> None:
    """Enqueue one, wait until it is accepted, enqueue the next."""
    connection = await importlib.import_module("asyncpg").connect(url)
    queries = _queries(importlib.import_module("pgqueuer.db").AsyncpgDriver(connection))
    await queries.enqueue("noop", _payload(0))
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(tasks):
        await queries.enqueue("noop", _payload(number))
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)
    await connection.close()


def _manager(pool: Any) -> Any:
    package = importlib.import_module("pgqueuer")
    logging.getLogger("pgqueuer").setLevel(logging.ERROR)
    manager: Any = package.PgQueuer(importlib.import_module("pgqueuer.db").AsyncpgPoolDriver(pool))

    async def noop(job: Any) -> int:
        number, _text = json.loads(job.payload)
        if count:
            count[0].one()
        return int(number)

    async def note_start(job: Any) -> None:
        tell_start(job.payload.decode())

    for each in (noop, note_start):
        manager.entrypoint(each.__name__)(each)
    return manager.qm


async def drain(url: str, *, tasks: int) -> None:
    async with await _pool(url) as pool:
        manager = _manager(pool)
        count.append(Count(tasks))
        working = asyncio.create_task(manager.run(batch_size=BATCH))
        await count[0].all()
        manager.shutdown.set()
        await working
    answer(cpu_seconds=count[0].cpu_seconds, seconds=count[0].seconds)


async def consume(url: str) -> None:
    async with await _pool(url) as pool:
        await _manager(pool).run(batch_size=BATCH)


async def latency(url: str, *, samples: int, path: str) -> None:
    connection = await importlib.import_module("asyncpg").connect(url)
    queries = _queries(importlib.import_module("pgqueuer.db").AsyncpgDriver(connection))
    taken = await latencies(lambda: queries.enqueue("note_start", path.encode()), path, samples)
    await connection.close()
    answer(seconds=taken)


WAYS = {
    each.__name__: each
    for each in (version, install, bulk, gather, single, drain, consume, latency)
}

if __name__ == "__main__":
    parameters = asked()
    work: Coroutine[Any, Any, None] = WAYS[parameters.pop("way")](**parameters)
    importlib.import_module("uvloop").run(work)
