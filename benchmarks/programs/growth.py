"""The memory of a worker after so many tasks, and after many more."""

import asynctasq
from asynctasq import Worker, task
from benchmarks.harness.machine import resident_mib
from benchmarks.programs.protocol import answer, asked

looked: list[float] = []
looks: list[int] = []
ran = 0


@task(name="benchmarks.tasks:noop")
async def noop(number: int) -> int:
    global ran
    ran += 1
    if ran in looks:
        looked.append(resident_mib())
    return number


async def main(url: str, *, after: list[int]) -> None:
    asynctasq.init({"driver": url})
    looks.extend(after)
    await Worker(queues=["default"], burst=True).start()
    answer(mib=looked)


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
