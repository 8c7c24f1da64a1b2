"""The store that is the default in the current folder, filled without a worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asynctasq import App

T = TypeVar("T")


def with_store(act: Callable[[App], Awaitable[T]]) -> T:
    """Act with an app on the store, in a new event loop."""

    async def run() -> T:
        async with App({"driver": "sqlite"}) as app:
            return await act(app)

    return asyncio.run(run())
