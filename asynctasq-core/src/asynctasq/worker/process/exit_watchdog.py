"""The end of a worker's process, which no code of the application can put off for ever."""

import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from asynctasq.worker.dump import stack_of
from asynctasq.worker.life import CLOSE_SECONDS, Life, Stage
from asynctasq.worker.process.signals import SignalDebouncer

logger = logging.getLogger("asynctasq")

LAST_SECONDS = 10.0
"""For threads, and functions registered with `atexit`, to end once the worker has."""
START_SECONDS = 5.0
"""For a start to end that was cancelled by a signal."""
SECOND_SECONDS = 1.0
"""For the process to end after the second signal, unless tasks run."""
BEYOND_GRACE_SECONDS = 30.0
"""For a worker to settle and close after its grace period."""
HURRY_SECONDS = 20.0
"""For running tasks to be interrupted and settled after the second signal."""
REPORT_SECONDS = 2.0
"""For the last log line: a handler may hang, too."""
FAILED_CODE = 1


class ExitWatchdog:
    """Ends this process when its worker should have ended, or has ended, and something keeps the process.

    A thread of its own watches, so a blocked event loop changes nothing. Limits count from a stop signal,
    from the moment when all tasks are settled, and from the end of the worker.
    """

    def __init__(self, life: Callable[[], Life | None]) -> None:
        """Make it; nothing is watched yet.

        Args:
            life: of the worker; None until there is one.
        """
        self._life = life
        self._echoes = SignalDebouncer()
        self._signals = 0
        self._due = math.inf
        self._reason = ""
        self._code = FAILED_CODE
        self._limited_in = Stage.RUNNING
        """Stage in which a signal set the limit."""
        self._loop_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = False

    def watch(self) -> None:
        """Start to watch the worker."""
        with self._changed:
            self._start()

    def nothing_ran(self) -> None:
        """Stop to watch, as the worker did not get as far as to need it; not after a signal."""
        with self._changed:
            if self._signals:
                return
            self._over, thread = True, self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._watch, name="asynctasq-end", daemon=True)
            thread.start()
            self._thread = thread

    def on_signal(self, received: signal.Signals) -> None:
        """Set a limit. For any thread: the event loop may be blocked."""
        with self._changed:
            if not self._echoes.is_new():
                return
            self._signals += 1
            life = self._life()
            stage = Stage.STARTING if life is None else life.stage
            self._limited_in = stage
            if stage is Stage.RUNNING and life is not None:
                first = life.grace_period + BEYOND_GRACE_SECONDS
                seconds = first if self._signals == 1 else HURRY_SECONDS
            elif self._signals > 1:
                seconds = SECOND_SECONDS
            else:
                seconds = START_SECONDS if stage is Stage.STARTING else CLOSE_SECONDS
            self._limit(seconds, f"{received.name} was received")

    def worker_ended(self, code: int) -> None:
        """Everything is settled and closed: what follows has a limit."""
        with self._changed:
            self._code = code
            if self._signals < 2:
                self._due = math.inf
            self._limit(LAST_SECONDS, "the worker ended")

    def loop_closed(self) -> None:
        """The event loop is closed: count again once the main thread is through."""
        with self._changed:
            if self._over:
                return
            self._loop_closed = True
            self._due = math.inf
            self._changed.notify()
        waiting = threading.Thread(
            target=self._after_main_thread, name="asynctasq-end", daemon=True
        )
        try:
            waiting.start()
        except RuntimeError:  # the system has no more threads: count from now on
            self._count_last()

    def _after_main_thread(self) -> None:
        threading.main_thread().join()
        self._count_last()

    def _count_last(self) -> None:
        with self._changed, suppress(RuntimeError):  # the same, and nothing watches
            self._limit(LAST_SECONDS, "the worker ended")

    def _limit(self, seconds: float, reason: str) -> None:
        due = monotonic() + seconds
        if due < self._due and not self._over:
            self._due, self._reason = due, f"{reason} {seconds:g} s ago"
            self._start()
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while (left := self._due - monotonic()) > 0:
                self._changed.wait(min(left, 0.5))
                if self._over:
                    return
                self._look_at_stage()
            reason = self._reason
        self._end(reason)

    def _look_at_stage(self) -> None:
        """Follow the worker into its next stage."""
        life = self._life()
        if life is None or life.stage is self._limited_in or self._loop_closed:
            return
        before, self._limited_in = self._limited_in, life.stage
        if life.stage is Stage.CLOSING:
            self._code = self._code if before is Stage.STARTING else 0
            self._limit(CLOSE_SECONDS + REPORT_SECONDS, "all tasks were settled")
        elif before is Stage.STARTING and self._signals:  # it had just started when the signal came
            self._due = math.inf
            self._limit(life.grace_period + BEYOND_GRACE_SECONDS, "a stop signal was received")

    def _end(self, reason: str) -> None:
        with suppress(RuntimeError):  # the system has no more threads
            reporting = threading.Thread(target=self._report, args=(reason,), daemon=True)
            reporting.start()
            reporting.join(REPORT_SECONDS)
        os._exit(self._code)

    def _report(self, reason: str) -> None:
        own = (threading.main_thread(), threading.current_thread())
        names = [
            each.name
            for each in threading.enumerate()
            if each not in own and not each.name.startswith("asynctasq-")
        ]
        life = self._life()
        closed = self._loop_closed or life is None
        logger.error(
            "The process is ended, as %s and something keeps it. It is %s. Threads: %s.\n%s",
            reason,
            "past the end of its worker" if closed or life is None else life.doing,
            ", ".join(names) or "none",
            "" if closed or life is None else "".join(stack_of(life.task)).rstrip(),
        )
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
