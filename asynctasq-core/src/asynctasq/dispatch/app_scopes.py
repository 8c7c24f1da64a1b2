"""Who uses an app on which event loop: it is closed by the last one out, and never under a worker."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from asynctasq.records import record

Undo = TypeVar("Undo")


@record
class _Worker:
    task: asyncio.Task[None] | None
    """That runs the worker."""
    blocks_before: int
    """How many blocks there were when it began."""


class AppScopes(Generic[Undo]):
    """The blocks of `async with` that have not ended, and the workers that run."""

    def __init__(self) -> None:
        self._blocks: list[tuple[asyncio.AbstractEventLoop, Undo]] = []
        self._workers: list[_Worker] = []

    def enter(self, undo: Undo) -> None:
        """A block begins on the running loop; `undo` is kept for its end."""
        self._blocks.append((asyncio.get_running_loop(), undo))

    def leave(self) -> tuple[Undo, bool]:
        """The innermost block of the running loop ends.

        Returns what was kept for its end, and whether it was the last one that needs the app to be open:
        the outermost of this loop, and not one that lies within the work of a worker, which goes on.
        """
        here = asyncio.get_running_loop()
        blocks = [block for block in self._blocks if block[0] is here]
        innermost = blocks[-1]
        self._blocks.remove(innermost)
        return innermost[1], len(blocks) == 1 and not self._is_within_worker()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While a worker is run by the current task."""
        worker = _Worker(asyncio.current_task(), len(self._blocks))
        self._workers.append(worker)
        try:
            yield
        finally:
            self._workers.remove(worker)

    def workers_here(self) -> list[asyncio.Task[None]]:
        """The tasks of the workers on the running loop."""
        loop = asyncio.get_running_loop()
        tasks = (worker.task for worker in self._workers)
        return [task for task in tasks if task is not None and task.get_loop() is loop]

    def _is_within_worker(self) -> bool:
        here = self.workers_here()
        return any(
            worker.task in here and len(self._blocks) >= worker.blocks_before
            for worker in self._workers
        )
