"""From `dispatch()` here to the first line of the task, by an idle worker in another process."""

import asyncio
import random
import time

import asynctasq
from benchmarks.programs.protocol import answer, asked
from benchmarks.tasks import tell_start

WARM = 5


async def main(url: str, *, samples: int) -> None:
    asynctasq.init({"driver": url})
    taken = []
    for _ in range(WARM + samples):
        begun = time.monotonic_ns()
        handle = await tell_start().dispatch()
        started = await handle.result(timeout=30)
        taken.append((started - begun) / 1e9)
        await asyncio.sleep(random.uniform(0.04, 0.08))
    answer(seconds=taken[WARM:])


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
