"""Coroutines that wait for the store to change, on whichever event loop of whichever thread."""

import asyncio
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Waiter(Generic[T]):
    """One waiting coroutine and its topic."""

    def __init__(self, topics: Collection[T]) -> None:
        self.topics = frozenset(topics)
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken, or for `seconds`."""
        timer = self._loop.call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Wake the coroutine. Any thread may call this."""
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:
            # The loop is closed, so no coroutine waits there any more.
            if not self._loop.is_closed():
                raise


class Waiters(Generic[T]):
    """The callers that wait. Guarded by the store's lock, except for `Waiter.sleep`."""

    def __init__(self) -> None:
        self.waiters: set[Waiter[T]] = set()

    def add(self, topics: Collection[T]) -> Waiter[T]:
        waiter = Waiter(topics)
        self.waiters.add(waiter)
        return waiter

    def discard(self, waiter: Waiter[T]) -> None:
        self.waiters.discard(waiter)

    def wake(self, topic: T) -> None:
        """Wake the waiters of `topic`, each of them once."""
        self._wake({waiter for waiter in self.waiters if topic in waiter.topics})

    def wake_all(self) -> None:
        self._wake(set(self.waiters))

    def _wake(self, waiters: set[Waiter[T]]) -> None:
        self.waiters -= waiters
        for waiter in waiters:
            waiter.wake()
