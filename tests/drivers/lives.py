"""The life of a message, and many lives at once, on a server that may fail meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, State
from asynctasq.settlement import Complete, Settled
from tests.drivers.opening import message

T = TypeVar("T")

LEASE = 60.0
SHORT = 2.0
"""The lease of workers that a failing server disturbs."""
PATIENCE = 60.0
BATCH = 10
PACE = 0.04


async def live_a_life(driver: Any) -> None:
    """Run a message through every operation."""
    sent = message()
    await driver.enqueue([sent])
    async with asyncio.timeout(PATIENCE):
        await driver.wait(["q"], timeout=PATIENCE)
    [delivery] = await driver.reserve({"q": 1}, limit=1, owner="one", lease=LEASE)
    assert delivery.message == sent
    assert await driver.settle([Complete(delivery.lease, b"result")]) == [Settled.DONE]
    [outcome] = await driver.results([sent.id])
    assert outcome is not None
    assert outcome.result == b"result"


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call while the store is unavailable, as core does. Other errors are raised."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call()
            except DriverUnavailable:
                await asyncio.sleep(0.02)


class ManyLives:
    """Messages that several drivers enqueue and settle at once, and a ledger of all answers."""

    def __init__(self, make_driver: Callable[[], Driver], *, messages: int, workers: int) -> None:
        self._make_driver = make_driver
        self._messages = messages
        self._workers = workers
        self._accepted: list[bytes] = []
        self._leases: Counter[tuple[bytes, int | str]] = Counter()
        self._done: Counter[bytes] = Counter()
        self._ended = asyncio.Event()
        self.unavailable = 0
        """Calls that failed because the store was unavailable."""

    @property
    def is_over(self) -> bool:
        """True if all messages have ended."""
        return self._ended.is_set()

    async def run(self, disturb: Callable[[], Awaitable[None]]) -> None:
        """Run all messages to their end, and disturb the store meanwhile, at least once.

        Nothing may be lost, no lease may have two owners, and no message may be completed twice.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(disturb))
            for number in range(self._workers):
                group.create_task(self._work(f"owner-{number}"))
            await self._send()
            await self._until_all_are_completed()
            self._ended.set()
        assert len(self._accepted) == self._messages
        assert [each for each, count in self._leases.items() if count > 1] == []
        assert [each for each, count in self._done.items() if count > 1] == []

    async def _repeat(self, disturb: Callable[[], Awaitable[None]]) -> None:
        await disturb()
        while not self.is_over:
            await disturb()

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        async def counted() -> T:
            try:
                return await call()
            except DriverUnavailable:
                self.unavailable += 1
                raise

        return await patiently(counted)

    @asynccontextmanager
    async def _driver(self) -> AsyncIterator[Any]:
        driver: Any = self._make_driver()
        await self._call(driver.open)
        try:
            yield driver
        finally:
            await driver.close()

    async def _send(self) -> None:
        async with self._driver() as driver:
            for _ in range(0, self._messages, BATCH):
                await asyncio.sleep(PACE)  # the load lasts longer than the first faults
                batch = [message() for _ in range(BATCH)]
                await self._call(partial(driver.enqueue, batch))
                self._accepted += [each.id for each in batch]

    async def _work(self, owner: str) -> None:
        async with self._driver() as driver:
            take = partial(driver.reserve, {"q": BATCH}, limit=BATCH, owner=owner, lease=SHORT)
            while not self.is_over:
                found: list[Delivery] = await self._call(take)
                if found:
                    await self._settle(driver, found)
                    continue
                # Messages whose delivery never arrived are given back by this call.
                await self._call(partial(driver.extend, owner, [], lease=SHORT))
                await self._call(partial(driver.wait, ["q"], timeout=0.2))

    async def _settle(self, driver: Any, found: list[Delivery]) -> None:
        self._leases.update((each.message.id, each.lease.token) for each in found)
        settlements = [Complete(each.lease, b"result", 600.0) for each in found]
        answers = await self._call(partial(driver.settle, settlements))
        for each, answer in zip(found, answers, strict=True):
            self._done[each.message.id] += answer is Settled.DONE

    async def _until_all_are_completed(self) -> None:
        async with self._driver() as driver, asyncio.timeout(PATIENCE):
            while True:
                counts = await self._call(partial(driver.count, "q"))
                if not (counts.ready or counts.scheduled or counts.leased):
                    break
                await asyncio.sleep(0.05)
            outcomes = await self._call(partial(driver.results, self._accepted))
        states = Counter(each.state if each else None for each in outcomes)
        assert states == {State.COMPLETED: len(self._accepted)}
