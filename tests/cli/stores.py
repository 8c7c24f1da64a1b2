"""The store that is the default in the current folder, filled without a worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asynctasq import App

T = TypeVar("T")


def with_store(act: Callable[[App], Awaitable[T]]) -> T:
    """Do something with an app on it, in a loop of its own."""

    async def run() -> T:
        async with App({"driver": "sqlite"}) as app:
            return await act(app)

    return asyncio.run(run())
