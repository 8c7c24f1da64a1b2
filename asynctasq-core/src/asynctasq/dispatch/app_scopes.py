"""The blocks and workers that use an app: the end of the last one closes it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from asynctasq.records import record

Undo = TypeVar("Undo")


@record
class _Worker:
    task: asyncio.Task[None] | None
    """The task that runs the worker."""
    blocks_before: int
    """The number of open blocks when the worker started."""


class AppScopes(Generic[Undo]):
    """The open `async with` blocks of an app, and the workers that run with it."""

    def __init__(self) -> None:
        self._blocks: list[tuple[asyncio.AbstractEventLoop, Undo]] = []
        self._workers: list[_Worker] = []

    def enter(self, undo: Undo) -> None:
        """Record the start of a block on the running loop, and keep `undo` for its end."""
        self._blocks.append((asyncio.get_running_loop(), undo))

    def leave(self) -> tuple[Undo, bool]:
        """Record the end of the innermost block of the running loop.

        Returns:
            The `undo` of the block, and whether the app can be closed now. It can if the block was the
            outermost of this loop, and no worker that started outside of the block still runs.
        """
        here = asyncio.get_running_loop()
        blocks = [block for block in self._blocks if block[0] is here]
        innermost = blocks[-1]
        self._blocks.remove(innermost)
        return innermost[1], len(blocks) == 1 and not self._is_within_worker()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Record that the current task runs a worker, for as long as the context is open."""
        worker = _Worker(asyncio.current_task(), len(self._blocks))
        self._workers.append(worker)
        try:
            yield
        finally:
            self._workers.remove(worker)

    def workers_here(self) -> list[asyncio.Task[None]]:
        """Return the tasks that run workers on the running loop."""
        loop = asyncio.get_running_loop()
        tasks = (worker.task for worker in self._workers)
        return [task for task in tasks if task is not None and task.get_loop() is loop]

    def _is_within_worker(self) -> bool:
        here = self.workers_here()
        return any(
            worker.task in here and len(self._blocks) >= worker.blocks_before
            for worker in self._workers
        )
