"""Count the calls to SQS, and measure drain and memory on a stand-in: `python benchmarks/sqs_bench.py [--quick]`.

The stand-in is the server of moto, which is slow. So the rates say how two versions compare, and nothing of AWS.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from asynctasq import App, Worker, task  # noqa: E402 - the path of the repository comes first
from asynctasq.message import Message, new_id  # noqa: E402 - the path of the repository comes first
from asynctasq.settlement import Complete  # noqa: E402 - the path of the repository comes first
from asynctasq_sqs import SQSDriver  # noqa: E402 - the path of the repository comes first
from tests.servers.moto_driver import SETTINGS  # noqa: E402 - the path of the repository comes first
from tests.servers.sqs import sqs_server  # noqa: E402 - the path of the repository comes first
from tests.servers.sqs_proxy import SQSProxy, sqs_proxy  # noqa: E402 - the path of the repository comes first

QUEUE = "default"
TASKS = 1000
WORK = ("SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch")
GROWN_LEAST = 1_000_000
"""Bytes below which growth is noise."""


@dataclass(frozen=True)
class Figure:
    """One figure, and the bar that it must not exceed."""

    name: str
    value: float
    bar: float | None = None

    @property
    def is_missed(self) -> bool:
        return self.bar is not None and self.value > self.bar


@task(name="bench.nothing")
async def nothing() -> None:
    pass


def driver_at(proxy: SQSProxy, namespace: str, long_poll: float = 1.0) -> SQSDriver:
    chosen: dict[str, Any] = {
        **SETTINGS,
        "endpoint_url": proxy.url,
        "namespace": namespace,
        "long_poll": long_poll,
    }
    return SQSDriver(**chosen)


@contextlib.asynccontextmanager
async def opened(driver: SQSDriver) -> AsyncIterator[SQSDriver]:
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def messages(count: int) -> list[Message]:
    return [Message(new_id(), QUEUE, "bench.nothing", bytes(100)) for _ in range(count)]


async def calls(proxy: SQSProxy) -> list[Figure]:
    """Enqueue a thousand tasks, then run them in a worker."""
    async with opened(driver_at(proxy, "calls")) as driver:
        await driver.enqueue(messages(1))
        found = await driver.reserve({QUEUE: 1}, limit=1, owner="bench", lease=60.0)
        await driver.settle([Complete(each.lease) for each in found])
    proxy.calls.clear()
    async with App({"driver": driver_at(proxy, "calls")}) as app:
        await app.dispatch_many([nothing() for _ in range(TASKS)])
    enqueue = proxy.calls.total()
    async with App({"driver": driver_at(proxy, "calls")}) as app:
        began = time.perf_counter()
        await Worker(app=app, concurrency=100, burst=True).start()
        seconds = time.perf_counter() - began
    work = sum(proxy.calls[operation] for operation in WORK)
    return [
        Figure("calls of an enqueue of 1,000", enqueue, 101),
        Figure("calls that send, receive and delete 1,000 tasks", work, 320),
        Figure("other calls", proxy.calls.total() - work),
        Figure("drain, tasks a second", TASKS / seconds),
    ]


async def idle(proxy: SQSProxy, seconds: float) -> list[Figure]:
    """Count the receives of a worker that has nothing to do, at polls of 20 s."""
    async with App({"driver": driver_at(proxy, "idle", long_poll=20.0)}) as app:
        worker = Worker(app=app, concurrency=10, handle_signals=False)
        working = asyncio.create_task(worker.start())
        while not proxy.calls["ReceiveMessage"]:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        before = proxy.calls["ReceiveMessage"]
        await asyncio.sleep(seconds)
        count = proxy.calls["ReceiveMessage"] - before
        worker.stop()
        await working
    return [Figure(f"receives of an idle worker in {seconds:g} s", count, max(1, seconds / 20))]


async def memory(proxy: SQSProxy, tasks: int) -> list[Figure]:
    """Measure the memory of the driver after many tasks."""
    async with opened(driver_at(proxy, "memory")) as driver:

        async def work(count: int) -> None:
            for _ in range(count // 100):
                await driver.enqueue(messages(100))
                done = 0
                while done < 100:
                    found = await driver.reserve({QUEUE: 100}, limit=100, owner="bench", lease=60.0)
                    await driver.settle([Complete(each.lease) for each in found])
                    done += len(found)

        await work(300)
        tracemalloc.start()
        await work(100)
        before, _ = tracemalloc.get_traced_memory()
        await work(tasks)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return [Figure(f"growth of memory over {tasks:,} tasks, bytes", after - before, GROWN_LEAST)]


async def measure(url: str, *, quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    async with sqs_proxy(url) as proxy:
        figures += await calls(proxy)
        proxy.calls.clear()
        figures += await idle(proxy, 20.0 if quick else 60.0)
        figures += await memory(proxy, 300 if quick else 3000)
    return figures


def main(arguments: Sequence[str]) -> int:
    """Measure; 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/sqs_bench.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args(arguments)
    with sqs_server() as url:
        figures = asyncio.run(measure(url, quick=asked.quick))
    for figure in figures:
        verdict = (
            ""
            if figure.bar is None
            else f"  (at most {figure.bar:g}: {'missed' if figure.is_missed else 'met'})"
        )
        print(f"{figure.name:60} {figure.value:12,.0f}{verdict}")
    if asked.json is not None:
        asked.json.write_text(json.dumps({figure.name: figure.value for figure in figures}) + "\n")
    return int(any(figure.is_missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
