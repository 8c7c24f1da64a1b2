"""A counter that tells programs of peers when all tasks have run. Uses only the standard library."""

import asyncio
import time

TEXT = "x" * 80
"""Beside a number: about 100 bytes of arguments."""


class Count:
    """Counts runs, and measures from the first to the last, so that a start is not counted."""

    def __init__(self, tasks: int) -> None:
        self._left = tasks
        self._ended = asyncio.Event()
        self._cpu = self._wall = 0.0
        self.cpu_seconds = self.seconds = 0.0

    def one(self) -> None:
        """Count one task that runs."""
        if not self._wall:
            self._cpu, self._wall = time.process_time(), time.perf_counter()
        self._left -= 1
        if self._left == 0:
            self.cpu_seconds = time.process_time() - self._cpu
            self.seconds = time.perf_counter() - self._wall
            self._ended.set()

    async def all(self) -> None:
        """Return when every task has run."""
        await self._ended.wait()
