"""From `dispatch()` to the first line of the task, by an idle worker in the same event loop."""

import asyncio
import random
import time

import asynctasq
from asynctasq import Worker, task
from benchmarks.programs.protocol import answer, asked

WARM = 5
starts: "asyncio.Queue[float]" = asyncio.Queue()


@task
async def note_start() -> None:
    starts.put_nowait(time.perf_counter())


async def main(url: str, *, samples: int) -> None:
    asynctasq.init({"driver": url})
    worker = Worker(queues=["default"], handle_signals=False)
    working = asyncio.create_task(worker.start())
    taken = []
    for _ in range(WARM + samples):
        # Long enough for the worker to settle and go to sleep, never in step with its polls.
        await asyncio.sleep(random.uniform(0.04, 0.08))
        begun = time.perf_counter()
        await note_start().dispatch()
        taken.append(await starts.get() - begun)
    worker.stop()
    await working
    answer(seconds=taken[WARM:])


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
