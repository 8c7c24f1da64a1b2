"""Delayed tasks on RabbitMQ: how long after their time they begin, behind one with a long delay."""

import asyncio
import random
import time

import asynctasq
from asynctasq import Worker, task
from benchmarks.programs.protocol import answer, asked

FRONT_SECONDS = 1000.0
LONGEST_SECONDS = 20.0
PATIENCE_SECONDS = 60.0

begun: dict[int, float] = {}


@task
async def note_start(number: int) -> None:
    """Note when the task began."""
    begun[number] = time.time()


async def main(url: str, *, delays: int, seed: int) -> None:
    """Dispatch tasks with random delays, and print by how many seconds each was late."""
    chance = random.Random(seed)
    asynctasq.init({"driver": url})
    await note_start(-1).options(delay=FRONT_SECONDS).dispatch()
    worker = Worker(queues=["default"], handle_signals=False)
    working = asyncio.create_task(worker.start())
    due: dict[int, float] = {}
    for number in range(delays):
        seconds = chance.uniform(0.05, LONGEST_SECONDS)
        due[number] = time.time() + seconds
        await note_start(number).options(delay=seconds).dispatch()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(begun) < delays:
            await asyncio.sleep(0.1)
    worker.stop()
    await working
    answer(late=[begun[number] - at for number, at in due.items()])


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
