"""Detection of a blocked event loop, from another thread."""

import asyncio
import logging
import sys
import threading
import traceback
from time import monotonic

logger = logging.getLogger("asynctasq")


class LoopWatch:
    """Checks whether the worker's loop runs, by scheduling a callback on it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, blocked: float, stall_limit: float
    ) -> None:
        """Watch the loop of the calling thread.

        Args:
            loop: of the worker.
            blocked: seconds after which a blocked loop is reported.
            stall_limit: seconds after which a blocked loop loses its leases.
        """
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._blocked = blocked
        self._stall_limit = stall_limit
        self._ticked_at = monotonic()
        self._asked = False
        self._reported = False
        self._given_up = False

    def check(self) -> bool:
        """Check the loop and report a blocked one; False once it has been blocked for `stall_limit`."""
        blocked_for = monotonic() - self._ticked_at if self._asked else 0.0
        if not self._asked:
            self._asked = True
            self._loop.call_soon_threadsafe(self._tick)
        if blocked_for > self._blocked and not self._reported:
            self._reported = True
            logger.warning(
                "The worker's event loop has been blocked for %.1f s, here:\n%s",
                blocked_for,
                self._stack(),
            )
        if blocked_for > self._stall_limit and not self._given_up:
            self._given_up = True
            logger.critical(
                "The worker's event loop has been blocked for %.0f s; its leases are no longer renewed, "
                "and other workers will run its messages",
                blocked_for,
            )
        return not self._given_up

    def _tick(self) -> None:
        self._ticked_at = monotonic()
        self._asked = self._reported = self._given_up = False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        return "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
