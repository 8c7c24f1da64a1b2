"""One worker runs no-op tasks until there are none left; measured after a few that are not counted."""

import time

import asynctasq
from asynctasq import Worker
from asynctasq.worker.about_writer import AboutWriter
from benchmarks.programs.fill import fill
from benchmarks.programs.protocol import answer, asked


async def main(url: str, *, tasks: int, warm: int, filled: bool, about: bool = True) -> None:
    AboutWriter.enabled = about
    asynctasq.init({"driver": url})
    if not filled:
        await fill(url, tasks=tasks, warm=warm)
    await Worker(queues=["warm"], concurrency=100, burst=True).start()
    worker = Worker(queues=["default"], concurrency=100, burst=True)
    cpu, wall = time.process_time(), time.perf_counter()
    await worker.start()
    answer(cpu_seconds=time.process_time() - cpu, seconds=time.perf_counter() - wall)


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
