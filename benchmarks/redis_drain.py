"""Drain a queue on Redis: our worker against a bare redis-py loop, on a server of their own.

    python benchmarks/redis_drain.py [TASKS] [ROUNDS]

Both run no-op tasks, 100 at a time, and keep each result for an hour. The bare loop claims 100 by one
transaction, decodes, awaits, and sends the acknowledgements with the results in one pipeline; it has no
leases that end, no retries, no unique keys. They take turns on one server without persistence, and the
processor time of server and worker is told beside the speed, since that is what a loaded machine
disturbs least.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import msgpack
import uvloop
from redis.asyncio import Redis

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from asynctasq import App, Worker, task  # noqa: E402 - the path comes first
from asynctasq.message import new_id  # noqa: E402 - same
from tests.servers.redis import RedisServer, redis_server  # noqa: E402 - same

BATCH = 100
RESULT_MILLISECONDS = 3_600_000


@task(name="bench.nothing")
async def nothing(number: int, text: str) -> int:
    """As little as a task can do."""
    return number


async def fill(url: str, tasks: int) -> None:
    async with App({"driver": url}) as app:
        await app.dispatch_many([nothing(number, "x" * 80) for number in range(tasks)])


async def drain(url: str) -> None:
    """Ours."""
    async with App({"driver": url, "concurrency": BATCH}) as app:
        await Worker(app=app, burst=True, handle_signals=False).start()


async def bare_fill(url: str, tasks: int) -> None:
    client: Any = Redis.from_url(
        url, protocol=2
    )  # redis-py's annotations are not of its async client
    bodies = [new_id() + msgpack.packb([number, "x" * 80]) for number in range(tasks)]
    for start in range(0, tasks, 1000):
        await client.execute_command("RPUSH", "bare", *bodies[start : start + 1000])
    await client.aclose()


async def _nothing(number: int, text: str) -> int:
    return number


async def bare_drain(url: str) -> None:
    """The loop to compare with."""
    client: Any = Redis.from_url(
        url, protocol=2
    )  # redis-py's annotations are not of its async client
    while True:
        claim = client.pipeline(transaction=True)
        claim.lrange("bare", 0, BATCH - 1)
        claim.ltrim("bare", BATCH, -1)
        bodies, _ = await claim.execute()
        if not bodies:
            break
        claimed = [part for body in bodies for part in (body[:16], body[16:])]
        await client.execute_command("HSET", "claimed", *claimed)
        calls = [_nothing(*msgpack.unpackb(body[16:])) for body in bodies]
        results = await asyncio.gather(*calls)
        settle = client.pipeline(transaction=False)
        settle.hdel("claimed", *(body[:16] for body in bodies))
        for body, result in zip(bodies, results, strict=True):
            settle.set(b"result:" + body[:16], msgpack.packb(result), px=RESULT_MILLISECONDS)
        await settle.execute()
    await client.aclose()


def server_seconds(server: RedisServer) -> float:
    with server.client() as client:
        used: Any = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def in_a_process(work: str, url: str) -> tuple[float, float]:
    """Seconds on the clock and of the processor, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        uvloop.run(globals()[work](url))
        elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        os.write(writing, f"{elapsed} {used}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    told = os.read(reading, 100).decode().split()
    os.close(reading)
    return float(told[0]), float(told[1])


def measure(server: RedisServer, kind: str, tasks: int) -> tuple[float, float, float]:
    """Tasks a second; microseconds of worker and of server for a task, from its lease on."""
    with server.client() as client:
        client.flushall()
    asyncio.run((fill if kind == "drain" else bare_fill)(server.url, tasks))
    before = server_seconds(server)
    elapsed, used = in_a_process(kind, server.url)
    served = server_seconds(server) - before
    return tasks / elapsed, used / tasks * 1e6, served / tasks * 1e6


def main(tasks: int = 20_000, rounds: int = 3) -> None:
    figures: dict[str, list[tuple[float, float, float]]] = {"drain": [], "bare_drain": []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        for _ in range(rounds):
            for kind, measured in figures.items():
                measured.append(measure(server, kind, tasks))
    print(f"{tasks} tasks, {rounds} rounds, medians; load average {load:.1f} at the start")
    medians = {
        kind: [median(each) for each in zip(*rows, strict=True)] for kind, rows in figures.items()
    }
    for kind, (speed, used, served) in medians.items():
        print(f"{kind:11} {speed:9,.0f} /s  worker {used:6.1f} µs  server {served:6.1f} µs a task")
    print(f"speed against the bare loop: {medians['drain'][0] / medians['bare_drain'][0]:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
