"""Receiving messages of a broker, through the errors of a connection that fails."""

import asyncio
from collections.abc import Collection
from typing import Any

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message, new_id
from asynctasq.settlement import Complete, Settled

LEASE = 30.0
PATIENCE = 60.0


async def received(
    driver: Driver, count: int, *, queue: str = "mail", owner: str = "worker", lease: float = LEASE
) -> list[Delivery]:
    """Reserve until so many messages were delivered."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            try:
                found += await driver.reserve({queue: 100}, limit=100, owner=owner, lease=lease)
                if len(found) < count:
                    await driver.wait([queue], timeout=1.0)
            except DriverUnavailable:
                await asyncio.sleep(0.05)
    return found


async def enqueued(driver: Driver, messages: Collection[Message]) -> None:
    """Enqueue messages, and repeat those of a call that failed."""
    left = list(messages)
    async with asyncio.timeout(PATIENCE):
        while left:
            try:
                await driver.enqueue(left[:1])
                del left[0]
            except DriverUnavailable:
                await asyncio.sleep(0.05)


async def completed(driver: Driver, deliveries: Collection[Delivery]) -> list[Settled]:
    """Complete messages, and repeat a call that failed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await driver.settle([Complete(each.lease) for each in deliveries])
            except DriverUnavailable:
                await asyncio.sleep(0.05)


def ids(of: Collection[Message]) -> list[bytes]:
    """Return the sorted IDs of messages."""
    return sorted(each.id for each in of)


def delivered(of: Collection[Delivery]) -> list[bytes]:
    """Return the sorted IDs of deliveries."""
    return sorted(each.message.id for each in of)


def letter(queue: str = "mail", *, body: bytes = b"body", **fields: Any) -> Message:
    """Return a message of a queue."""
    return Message(new_id(), queue, "shop.ship", body, **fields)
