"""Lease messages and complete them, a hundred at a time, and time each call. No task runs."""

import time

import asynctasq
from asynctasq import App
from asynctasq.settlement import Complete
from benchmarks.programs.protocol import answer, asked

BATCH = 100
QUEUE = "default"


async def main(url: str, *, tasks: int) -> None:
    reserves: list[float] = []
    settles: list[float] = []
    async with App({"driver": url}) as app:
        driver = await app.driver()
        for _ in range(0, tasks, BATCH):
            begun = time.perf_counter()
            found = await driver.reserve({QUEUE: BATCH}, limit=BATCH, owner="bench", lease=3600.0)
            leased = time.perf_counter()
            await driver.settle([Complete(delivery.lease, b"result") for delivery in found])
            reserves.append(leased - begun)
            settles.append(time.perf_counter() - leased)
            if len(found) < BATCH:
                raise RuntimeError(f"{len(found)} messages were leased, not {BATCH}")
    answer(reserves=reserves, settles=settles)


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
