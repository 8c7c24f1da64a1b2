"""The end of a worker's process, which no code of its tasks may put off for ever."""

import logging
import os
import sys
import threading

logger = logging.getLogger("asynctasq")

LAST_SECONDS = 10.0
"""What threads, and functions registered with `atexit`, get to end once the worker has."""


class ProcessEnd:
    """Sees to it that this process ends once its worker has.

    Threads that a task has started, or has waited for in vain, and other processes that it is waiting
    for at its end, can keep it for as long as they like.
    """

    def __init__(self) -> None:
        """Make it; nothing is watched yet."""
        self._loop_closed = threading.Event()
        self._code = 0
        self._thread = threading.Thread(target=self._watch, name="asynctasq-end", daemon=True)

    def worker_ended(self, code: int) -> None:
        """Everything is settled: from here on there is a limit."""
        self._code = code
        self._thread.start()

    def loop_closed(self) -> None:
        """The same holds for what follows once the main thread is through, and not before."""
        self._loop_closed.set()

    def _watch(self) -> None:
        if self._loop_closed.wait(LAST_SECONDS):
            threading.main_thread().join()
            threading.Event().wait(LAST_SECONDS)
        own = (threading.main_thread(), threading.current_thread())
        names = [each.name for each in threading.enumerate() if each not in own]
        logger.warning(
            "The worker has ended %g s ago and something keeps its process, which is ended. Threads: %s.",
            LAST_SECONDS,
            ", ".join(names) or "none",
        )
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        os._exit(self._code)
