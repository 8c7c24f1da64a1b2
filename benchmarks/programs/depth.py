"""What a reserve, a settle and an enqueue cost, at a few waiting messages and at many.

The two stores take turns in one process, each with caches as warm as its own work makes them. Each
round reserves and completes 100 messages, so that history grows alike in both; then the shallow one
is emptied and filled again to its depth before the enqueue.
"""

import time
from collections.abc import Awaitable
from typing import TypeVar

import asynctasq
from asynctasq import App, State
from asynctasq.contracts.capabilities import Capability, SupportsPurge, require
from asynctasq.contracts.driver import Driver
from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete
from benchmarks.programs.protocol import answer, asked

T = TypeVar("T")
QUEUE = "default"
CHUNK = 1_000
BATCH = 100
BODY = bytes(40)


class Store:
    """One of the two, and what its calls took."""

    def __init__(self, driver: Driver, depth: int, *, refilled: bool) -> None:
        self.driver = driver
        self.depth = depth
        self.refilled = refilled
        self.cpu: dict[str, list[float]] = {}
        self.wall: dict[str, list[float]] = {}

    async def timed(self, name: str, call: Awaitable[T]) -> T:
        cpu, wall = time.process_time(), time.perf_counter()
        value = await call
        self.cpu.setdefault(name, []).append(time.process_time() - cpu)
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        return value

    async def fill(self) -> None:
        for first in range(0, self.depth, CHUNK):
            await self.driver.enqueue(messages(min(CHUNK, self.depth - first)))

    async def round(self) -> None:
        reserve = self.driver.reserve({QUEUE: BATCH}, limit=BATCH, owner="bench", lease=3600.0)
        deliveries = await self.timed("reserve", reserve)
        done = [Complete(delivery.lease, b"result") for delivery in deliveries]
        await self.timed("settle", self.driver.settle(done))
        if self.refilled:
            purging = require(
                self.driver, Capability.PURGE, SupportsPurge, purpose="keeping a store shallow"
            )
            await purging.purge(QUEUE, states={State.READY})
            await self.fill()
        await self.timed("enqueue", self.driver.enqueue(messages(CHUNK)))


def messages(number: int) -> list[Message]:
    return [Message(new_id(), QUEUE, "benchmarks.tasks.noop", BODY) for _ in range(number)]


async def main(urls: list[str], depths: list[int], *, rounds: int) -> None:
    async with App({"driver": urls[0]}) as small, App({"driver": urls[1]}) as large:
        stores = [
            Store(await small.driver(), depths[0], refilled=True),
            Store(await large.driver(), depths[1], refilled=False),
        ]
        for store in stores:
            await store.fill()
            await store.round()
            store.cpu.clear()
            store.wall.clear()
        for number in range(rounds):
            for store in stores if number % 2 else reversed(stores):
                await store.round()
    answer(cpu=[store.cpu for store in stores], wall=[store.wall for store in stores])


if __name__ == "__main__":
    asynctasq.run(main(**asked()))
