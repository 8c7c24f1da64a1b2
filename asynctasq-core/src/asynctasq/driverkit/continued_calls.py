"""Calls that go on when the coroutine that waits for them is cancelled, so that no client is interrupted in a call."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ContinuedCalls:
    """The calls of one event loop that a `wait` has begun, and that may outlive it."""

    def __init__(self) -> None:
        self._calls: set[asyncio.Task[Any]] = set()

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call. A cancellation ends the wait for it, and the call goes on."""
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # fetched here in case the waiter was cancelled

    async def finish(self, seconds: float) -> None:
        """Wait until the calls have ended, for so many seconds at most. Calls of another loop are left alone."""
        if self._calls and asyncio.get_running_loop() is next(iter(self._calls)).get_loop():
            await asyncio.wait(self._calls, timeout=seconds)
