"""The cost of a reserve, a settle and an enqueue, with few and with many waiting messages.

The two stores take turns in one process, each with caches as warm as its own work makes them. In each
round as many messages leave as come, so that both stay at their depth, history grows alike in both,
and neither has to ask the system for memory, which takes longer than to enqueue.
"""

import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import asynctasq
from asynctasq import App
from asynctasq.contracts.driver import Driver
from asynctasq.message import Delivery, Message, new_id
from asynctasq.settlement import Complete, Settlement
from benchmarks.programs.protocol import answer, asked

T = TypeVar("T")
QUEUE = "default"
CHUNK = 1_000
BATCH = 100
BODY = bytes(40)


class Store:
    """One of the two, and what its calls took."""

    def __init__(self, driver: Driver, depth: int) -> None:
        self.driver = driver
        self.depth = depth
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
        await self.driver.enqueue(messages(CHUNK))

    async def round(self) -> None:
        deliveries = await self.timed("reserve", self._reserve(BATCH))
        await self.timed("settle", self.driver.settle(_done(deliveries)))
        await self.driver.settle(_done(await self._reserve(CHUNK - BATCH)))
        await self.timed("enqueue", self.driver.enqueue(messages(CHUNK)))

    async def _reserve(self, number: int) -> list[Delivery]:
        return await self.driver.reserve({QUEUE: number}, limit=number, owner="bench", lease=3600.0)


def _done(deliveries: Sequence[Delivery]) -> list[Settlement]:
    return [Complete(delivery.lease, b"result") for delivery in deliveries]


def messages(number: int) -> list[Message]:
    return [Message(new_id(), QUEUE, "benchmarks.tasks.noop", BODY) for _ in range(number)]


async def main(urls: list[str], depths: list[int], *, rounds: int) -> None:
    async with App({"driver": urls[0]}) as small, App({"driver": urls[1]}) as large:
        stores = [
            Store(await small.driver(), depths[0]),
            Store(await large.driver(), depths[1]),
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
