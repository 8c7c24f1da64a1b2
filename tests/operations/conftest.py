"""Apps on the memory driver, each with its own store."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest_asyncio

from asynctasq import App


@pytest_asyncio.fixture
async def app() -> AsyncIterator[App]:
    """Yield an app whose store is empty."""
    async with App({"driver": "memory", "memory": {"namespace": uuid4().hex}}) as made:
        yield made
