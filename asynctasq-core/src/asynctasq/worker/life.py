"""Where a worker is between its start and its end, and the limits of its start and of its closing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import Any

logger = logging.getLogger("asynctasq")

GRACE_SECONDS = 30.0
"""The grace period, until the settings are known."""
CLOSE_SECONDS = 10.0
"""For closing everything that a worker has opened, once its tasks are settled."""
LEAST_CLOSE_SECONDS = 1.0
"""For each part, also when another has used up the time."""


class Stage(Enum):
    """Parts of a worker's life, as its end depends on them."""

    STARTING = "starting"
    RUNNING = "running"
    CLOSING = "closing"
    """All tasks are settled; the lifespan, executors and store are being closed."""


class Life:
    """One worker's; other threads may read it."""

    def __init__(self) -> None:
        self.stage = Stage.STARTING
        self.doing = "starting"
        """Current activity, worded to follow "It is", for log lines that name what hangs."""
        self.grace_period = GRACE_SECONDS
        self.task: asyncio.Task[Any] | None = None
        """The one that runs the worker."""
        self._start_cancelled = False

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
            logger.info("The worker was told to stop while it started, and has stopped.")
        finally:
            self.task = None

    def cancel_start(self) -> bool:
        """Cancel the start; False if the worker does not start now."""
        if self.stage is not Stage.STARTING or self.task is None:
            return False
        if not self._start_cancelled:
            self._start_cancelled = True
            self.task.cancel()
        return True

    def begin(self) -> None:
        """Enter the stage `RUNNING`.

        Raises:
            asyncio.CancelledError: the start was cancelled, and something has kept that to itself.
        """
        if self._start_cancelled:
            raise asyncio.CancelledError
        self.stage, self.doing = Stage.RUNNING, "running tasks"


class Closing:
    """Closes the parts of a worker one after the other, each within a limit."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._due: float | None = None
        self._hurried = False
        self._limit: asyncio.Timeout | None = None
        self._is_theirs = False

    def hurry(self) -> None:
        """Cancel the part that is being closed if it is the application's; the others get a second each."""
        if self._due is not None:
            self._hurried = True
            if self._limit is not None and self._is_theirs:
                self._limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def part(self, name: str, *, is_theirs: bool = False) -> AsyncIterator[None]:
        """Cancel this block when its time is over, and log that; `name` follows "closing".

        `is_theirs` says that it is code of the application.
        """
        self._is_theirs = is_theirs
        now = asyncio.get_running_loop().time()
        self._life.stage, self._life.doing = Stage.CLOSING, f"closing {name}"
        if self._due is None:
            self._due = now + CLOSE_SECONDS
        due = now if self._hurried else self._due
        try:
            async with asyncio.timeout_at(max(due, now + LEAST_CLOSE_SECONDS)) as self._limit:
                yield
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            logger.error(  # noqa: TRY400  where it was awaiting says nothing
                "Closing %s was cancelled: it had not ended %s.",
                name,
                "at the second signal" if self._hurried else f"within {CLOSE_SECONDS:g} s",
            )
        finally:
            self._limit = None
