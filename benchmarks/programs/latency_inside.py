"""From `dispatch()` to the first line of the task, by an idle worker in the same event loop."""

import asyncio
import random
import time

import asynctasq
from asynctasq import Worker, task
from benchmarks.programs.bare_loop import connect
from benchmarks.programs.protocol import answer, asked

WARM = 5
starts: "asyncio.Queue[float]" = asyncio.Queue()


@task
async def note_start() -> None:
    starts.put_nowait(time.perf_counter())


async def main(url: str, *, samples: int, bare: str | None) -> None:
    """With `bare`, a path, also what a commit takes on the same disk at about the same time."""
    asynctasq.init({"driver": url})
    worker = Worker(queues=["default"], handle_signals=False)
    working = asyncio.create_task(worker.start())
    connection = connect(bare) if bare is not None else None
    if connection is not None:
        connection.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, data BLOB)")
    taken: list[float] = []
    commits: list[float] = []
    for _ in range(WARM + samples):
        # Long enough for the worker to settle and go to sleep, never in step with its polls.
        await asyncio.sleep(random.uniform(0.04, 0.08))
        begun = time.perf_counter()
        await note_start().dispatch()
        taken.append(await starts.get() - begun)
        if connection is not None:
            await asyncio.sleep(random.uniform(0.04, 0.08))
            begun = time.perf_counter()
            connection.execute("INSERT INTO rows (data) VALUES (?)", (bytes(200),))
            commits.append(time.perf_counter() - begun)
    worker.stop()
    await working
    if connection is not None:
        connection.close()
    answer(seconds=taken[WARM:], commits=commits[WARM:])


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
