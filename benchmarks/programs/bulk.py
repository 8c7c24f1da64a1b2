"""Dispatch many tasks that exist already."""

import time

import asynctasq
from benchmarks.programs.protocol import answer, asked
from benchmarks.tasks import noop


async def main(url: str, *, tasks: int) -> None:
    asynctasq.init({"driver": url})
    await asynctasq.dispatch_many([noop(number) for number in range(1_000)])
    many = [noop(number) for number in range(tasks)]
    cpu, wall = time.process_time(), time.perf_counter()
    handles = await asynctasq.dispatch_many(many)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    answer(cpu_seconds=cpu, seconds=wall, handles=len(handles))


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
