"""Queues of checks are discarded, if the driver can do it. A broker would keep them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Self

import pytest

from asynctasq.conformance import run_conformance
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.drivers.composed import compose
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import Delivery, Message
from tests.composed.queue_driver import QueueDriver


class Recording(QueueDriver):
    """A queue that notes the names of the queues that it was asked to create, and to discard."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def clone(self) -> Self:
        clone = super().clone()
        clone.used = self.used
        return clone

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        self.used.update(message.queue for message in messages)
        return await super().enqueue(messages)

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        self.used.update(queues)
        return await super().reserve(queues, limit=limit, owner=owner, lease=lease)

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        self.used.update(queues)
        await super().wait(queues, timeout=timeout)

    async def discard_queues(self, queues: Collection[str]) -> None:
        self.used.difference_update(queues)


@pytest.mark.parametrize("composed", [False, True])
async def test_checks_discard_their_queues(composed: bool) -> None:
    queue = Recording()
    driver: Driver = compose(queue, MemoryDriver()) if composed else queue
    report = await run_conformance(
        driver.clone,
        only={
            "settle",
            "order",
            "lease",
            "wait_returns_at_once_when_something_is_ready",
            "wait_does_not_hold_up_other_calls",
        },
        one_namespace=True,
    )
    assert report.ok, str(report)
    assert queue.used == set()
