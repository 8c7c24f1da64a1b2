"""The stage of a worker between its start and its end, and the limits of its start and of closing it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import Any

from asynctasq.worker.timing import CloseTiming

logger = logging.getLogger("asynctasq")

GRACE_SECONDS = 30.0
"""Grace period, until the settings are known."""


class Stage(Enum):
    """Stages of a worker's life that differ in how the worker ends."""

    STARTING = "starting"
    RUNNING = "running"
    CLOSING = "closing"
    """All tasks are settled; the lifespan, executors and store are being closed."""


class Life:
    """The stage and the current activity of one worker; other threads may read them."""

    def __init__(self, timing: CloseTiming | None = None) -> None:
        self.close_timing = timing or CloseTiming()
        self.stage = Stage.STARTING
        self.doing = "starting"
        """Current activity, worded to follow "It is", for log lines that name a part that hangs."""
        self.grace_period = GRACE_SECONDS
        self.task: asyncio.Task[Any] | None = None
        """The task that runs the worker."""
        self._start_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """True if the task that runs the worker is being cancelled."""
        return self.task is not None and self.task.cancelling() > 0

    @contextmanager
    def lived_here(self) -> Iterator[None]:
        """Let `cancel_start` cancel this block as long as the worker starts."""
        self.stage, self._start_cancelled = Stage.STARTING, False
        self.task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if not self._start_cancelled or self.task is None or self.task.uncancel():
                raise
            logger.info("Worker stopped during its start, as requested")
        finally:
            self.task = None

    def cancel_start(self) -> bool:
        """Cancel the start; False if the worker is not starting."""
        if self.stage is not Stage.STARTING or self.task is None:
            return False
        if not self._start_cancelled:
            self._start_cancelled = True
            self.task.cancel()
        return True

    def begin(self) -> None:
        """Enter the stage `RUNNING`.

        Raises:
            asyncio.CancelledError: the start was cancelled, and a part of it has swallowed that.
        """
        if self._start_cancelled:
            raise asyncio.CancelledError
        self.stage, self.doing = Stage.RUNNING, "running tasks"


class Closing:
    """Closes the parts of a worker one after the other, each within a time limit."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._due: float | None = None
        self._hurried = False
        self._limit: asyncio.Timeout | None = None
        self._is_application = False

    def hurry(self) -> None:
        """Cancel the part that is being closed if it is code of the application; limit the others to a second."""
        if self._due is not None:
            self._hurried = True
            if self._limit is not None and self._is_application:
                self._limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def part(self, name: str, *, is_application: bool = False) -> AsyncIterator[None]:
        """Cancel this block when its time is over, and log that.

        Args:
            name: of the part, worded to follow "closing".
            is_application: True for code of the application.
        """
        self._is_application = is_application
        timing = self._life.close_timing
        now = asyncio.get_running_loop().time()
        self._life.stage, self._life.doing = Stage.CLOSING, f"closing {name}"
        if self._due is None:
            self._due = now + timing.total
        due = now if self._hurried else self._due
        try:
            async with asyncio.timeout_at(max(due, now + timing.least)) as self._limit:
                yield
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            logger.error(  # noqa: TRY400  where it was awaiting says nothing
                "Closing %s was cancelled: it did not end %s",
                name,
                "before the second signal" if self._hurried else f"within {timing.total:g} s",
            )
        finally:
            self._limit = None

    async def close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        """Close a part of the worker within the limit."""
        async with self.part(name):
            await close()
