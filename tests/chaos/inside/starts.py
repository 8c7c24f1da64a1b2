"""Threads that cannot be started, as when the system's limit is reached."""

import threading
from typing import Any

from tests.chaos.inside.switches import Switches

THREAD_NOT_STARTED = "threads not started"


def fail_thread_starts(switches: Switches) -> None:
    """Let threads of asynctasq fail to start in this process while the switch is on."""
    thread: Any = threading.Thread
    start = threading.Thread.start

    def failing(self: threading.Thread) -> None:
        if self.name.startswith("asynctasq-") and switches.strikes(THREAD_NOT_STARTED):
            raise RuntimeError("can't start new thread")
        start(self)

    thread.start = failing
