"""Dispatch tasks that leave marks; or run what is there until nothing is left."""

import asynctasq
from asynctasq import Worker
from benchmarks.programs.protocol import answer, asked
from benchmarks.tasks import mark


async def main(url: str, *, marks: str, tasks: int, seconds: float) -> None:
    asynctasq.init({"driver": url})
    if tasks:
        await asynctasq.dispatch_many([mark(marks, number, seconds) for number in range(tasks)])
    else:
        await Worker(queues=["default"], burst=True).start()
    answer()


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
