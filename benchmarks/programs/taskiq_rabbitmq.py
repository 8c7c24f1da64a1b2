"""Taskiq with its aio-pika broker doing the same work. Runs in its own environment, on uvloop."""

import asyncio
import importlib
import json
import sys
import time
from typing import Any
from uuid import uuid4


async def main(url: str, tasks: int) -> None:
    """Publish tasks, run a receiver until they are done, and print the rate."""
    name = f"bench-{uuid4().hex}"
    package: Any = importlib.import_module("taskiq_aio_pika")
    try:
        broker = package.AioPikaBroker(url, queue_name=name, exchange_name=name, qos=100)
    except TypeError:
        queue: Any = importlib.import_module("taskiq_aio_pika.queue").Queue
        broker = package.AioPikaBroker(url, qos=100).with_queue(queue(name=name))
    done = 0
    times = [0.0, 0.0]
    ended = asyncio.Event()

    async def noop(number: int) -> None:
        nonlocal done
        if not done:
            times[0] = time.perf_counter()
        done += 1
        if done == tasks:
            times[1] = time.perf_counter()
            ended.set()

    task = broker.register_task(noop, "noop")
    broker.is_worker_process = True  # otherwise it opens nothing to receive with
    await broker.startup()
    for start in range(0, tasks, 500):
        await asyncio.gather(
            *(task.kiq(number) for number in range(start, min(start + 500, tasks)))
        )
    api: Any = importlib.import_module("taskiq.api")
    running = asyncio.create_task(api.run_receiver_task(broker, max_async_tasks=100))
    async with asyncio.timeout(120):
        await ended.wait()
    running.cancel()
    await asyncio.wait([running])
    await broker.shutdown()
    print(json.dumps({"rate": tasks / (times[1] - times[0])}))


if __name__ == "__main__":
    importlib.import_module("uvloop").run(main(sys.argv[1], int(sys.argv[2])))
