"""Exit of a worker's process, within a time limit that application code cannot extend."""

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
from asynctasq.worker.life import Life, Stage
from asynctasq.worker.process.signals import SignalDebouncer
from asynctasq.worker.timing import WorkerTiming

logger = logging.getLogger("asynctasq")

FAILED_CODE = 1


class ExitWatchdog:
    """Ends this process if something keeps it running after its worker has ended, or should have.

    A separate thread watches, so a blocked event loop does not matter. Time limits start at a stop signal,
    at the moment when all tasks are settled, and at the end of the worker.
    """

    def __init__(
        self, life: Callable[[], Life | None], *, timing: WorkerTiming | None = None
    ) -> None:
        """Make the watchdog; nothing is watched yet.

        Args:
            life: of the worker; None until there is one.
            timing: durations.
        """
        timing = timing or WorkerTiming()
        self._life = life
        self._timing = timing.watchdog
        self._close_seconds = timing.close.total
        self._debouncer = SignalDebouncer(timing.signals)
        self._signals = 0
        self._due = math.inf
        self._reason = ""
        self._code = FAILED_CODE
        self._limited_in = Stage.RUNNING
        """Stage in which a signal has set the limit."""
        self._loop_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = False

    def watch(self) -> None:
        """Start watching the worker."""
        with self._changed:
            self._start()

    def nothing_ran(self) -> None:
        """Stop watching, as the worker has run nothing; after a signal, go on."""
        with self._changed:
            if self._signals:
                return
            self._over, thread = True, self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._watch, name="asynctasq-exit", daemon=True)
            thread.start()
            self._thread = thread

    def on_signal(self, received: signal.Signals) -> None:
        """Set a limit. Any thread may call this: the event loop may be blocked."""
        with self._changed:
            if not self._debouncer.is_new():
                return
            self._signals += 1
            life = self._life()
            stage = Stage.STARTING if life is None else life.stage
            self._limited_in = stage
            if stage is Stage.RUNNING and life is not None:
                first = life.grace_period + self._timing.beyond_grace
                seconds = first if self._signals == 1 else self._timing.hurry
            elif self._signals > 1:
                seconds = self._timing.second
            else:
                seconds = self._timing.start if stage is Stage.STARTING else self._close_seconds
            self._limit(seconds, f"{received.name} was received")

    def worker_ended(self, code: int) -> None:
        """Note that all is settled and closed, and limit the time until the process exits."""
        with self._changed:
            self._code = code
            if self._signals < 2:
                self._due = math.inf
            self._limit(self._timing.last, "the worker ended")

    def loop_closed(self) -> None:
        """Note that the event loop is closed; the limit starts again when the main thread has ended."""
        with self._changed:
            if self._over:
                return
            self._loop_closed = True
            self._due = math.inf
            self._changed.notify()
        waiting = threading.Thread(
            target=self._after_main_thread, name="asynctasq-exit", daemon=True
        )
        try:
            waiting.start()
        except RuntimeError:  # the system has no more threads: start the limit now
            self._count_last()

    def _after_main_thread(self) -> None:
        threading.main_thread().join()
        self._count_last()

    def _count_last(self) -> None:
        with (
            self._changed,
            suppress(RuntimeError),
        ):  # the system has no more threads, and nothing watches
            self._limit(self._timing.last, "the worker ended")

    def _limit(self, seconds: float, reason: str) -> None:
        due = monotonic() + seconds
        if due < self._due and not self._over:
            self._due, self._reason = due, f"{reason} {seconds:g} s ago"
            self._start()
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while (left := self._due - monotonic()) > 0:
                self._changed.wait(min(left, self._timing.check))
                if self._over:
                    return
                self._follow_stage()
            reason = self._reason
        self._end(reason)

    def _follow_stage(self) -> None:
        """Set the limit of the stage that the worker has entered."""
        life = self._life()
        if life is None or life.stage is self._limited_in or self._loop_closed:
            return
        before, self._limited_in = self._limited_in, life.stage
        if life.stage is Stage.CLOSING:
            self._code = self._code if before is Stage.STARTING else 0
            self._limit(self._close_seconds + self._timing.report, "all tasks were settled")
        elif before is Stage.STARTING and self._signals:  # it had just started when the signal came
            self._due = math.inf
            self._limit(life.grace_period + self._timing.beyond_grace, "a stop signal was received")

    def _end(self, reason: str) -> None:
        with suppress(RuntimeError):  # the system has no more threads
            reporting = threading.Thread(target=self._report, args=(reason,), daemon=True)
            reporting.start()
            reporting.join(self._timing.report)
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
            "Exiting by force: %s, and something keeps the process running. It is %s. Threads: %s.\n%s",
            reason,
            "past the end of its worker" if closed or life is None else life.doing,
            ", ".join(names) or "none",
            "" if closed or life is None else "".join(stack_of(life.task)).rstrip(),
        )
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
