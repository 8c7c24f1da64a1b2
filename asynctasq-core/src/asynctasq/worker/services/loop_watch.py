"""Detection of a blocked event loop, from other threads."""

import asyncio
import logging
import sys
import threading
import traceback
from contextlib import suppress
from time import monotonic

logger = logging.getLogger("asynctasq")


class LoopWatch:
    """Measures how late the worker's loop is, by callbacks that it schedules there, and reports a blocked loop."""

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
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        """The time of the callback that the loop has not run yet; None if there is none."""
        self._answered = threading.Event()
        self._lag = 0.0
        self._reported = False
        self._given_up = False

    @property
    def lag(self) -> float:
        """The seconds by which the loop was late when it was last asked, or is late now."""
        asked_at = self._asked_at
        return self._lag if asked_at is None else max(self._lag, monotonic() - asked_at)

    def blocked_for(self, limit: float) -> float:
        """Return the seconds since the oldest unanswered callback; 0 if one runs within `limit` seconds."""
        self.ask()
        self._answered.wait(limit)
        return self._unanswered_for()

    def check(self) -> bool:
        """Ask the loop and report a blocked one; False once it has been blocked for `stall_limit`."""
        blocked_for = self._unanswered_for()
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
        self.ask()
        return not self._given_up

    def ask(self) -> None:
        """Schedule a callback, unless one is unanswered."""
        with self._asking:
            if self._asked_at is None:
                self._answered.clear()
                self._asked_at = monotonic()
                with suppress(RuntimeError):  # closed: the worker has ended
                    self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._lag = self._unanswered_for()
        self._asked_at = None
        self._reported = self._given_up = False
        self._answered.set()

    def _unanswered_for(self) -> float:
        asked_at = self._asked_at
        return 0.0 if asked_at is None else monotonic() - asked_at

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        return "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
