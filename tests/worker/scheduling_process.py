"""Claims and fires schedules in a separate process, which tests kill: `scheduling_process.py URL`."""

import asyncio
import sys

from asynctasq import App, Worker, task
from asynctasq.worker.timing import ScheduleTiming, WorkerTiming

TIMING = WorkerTiming(schedules=ScheduleTiming(idle=0.1, hold=0.5))


@task(name="scheduling.tick", queue="ticks")
async def tick(number: int) -> None: ...


async def main(url: str) -> None:
    async with App({"driver": url, "lease": 2.0}) as app:
        await Worker(app=app, queues=["none"], timing=TIMING).start()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
