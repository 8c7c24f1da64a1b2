"""What tests of one driver begin with: opened instances, and a message as simple as can be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asynctasq.contracts.driver import Driver
from asynctasq.message import Message, new_id

D = TypeVar("D", bound=Driver)


@asynccontextmanager
async def opened(driver: D) -> AsyncIterator[D]:
    """Open the driver for the duration of the block."""
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def message(**fields: Any) -> Message:
    """Return a message of the queue `q`."""
    return Message(new_id(), "q", "task", b"body", **fields)
