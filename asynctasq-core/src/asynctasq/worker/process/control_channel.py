"""What ties a worker process to its supervisor: a socket on which it is asked how it is, and whose end is its own."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from asynctasq.hookspecs import hookimpl
from asynctasq.worker.health import Phase, Report, WorkerHealth
from asynctasq.worker.life import GRACE_SECONDS

ORPHANED_EXIT = 75
"""Exit code of a worker that did not end by itself when its supervisor had died (`EX_TEMPFAIL`)."""
DEAF_SECONDS = 2.0
"""A worker that runs on for so long after SIGTERM is told on the leash: a task has taken its handlers."""
END_SECONDS = 30.0
"""What it gets beyond that to settle and close."""


class SupervisorChannel:
    """The worker's side: a thread that answers questions, whatever the event loop does.

    When the supervisor is gone, however it died, the worker stops gracefully; one that does not is
    ended.
    """

    def __init__(
        self, fd: int, vitals: Callable[[], WorkerHealth | None], *, stop: Callable[[], None]
    ) -> None:
        """Take over the socket.

        Args:
            fd: of the socket.
            vitals: of the worker; None while it starts.
            stop: does what SIGTERM does, from any thread.
        """
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._vitals = vitals
        self._stop = stop
        self._writing = threading.Lock()

    def hold(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._run, name="asynctasq-leash", daemon=True).start()

    @hookimpl
    def worker_started(self) -> None:
        """Tell without being asked, before the first task runs: it may end this process at once."""
        with suppress(OSError):  # the supervisor is gone
            vitals = self._vitals()
            owner = {} if vitals is None else {"owner": vitals.owner}
            self._tell(b"0", {"phase": Phase.RUNNING, **owner})

    @hookimpl(trylast=True)
    def worker_stopped(self) -> None:
        """Report that all tasks are settled, so no leases are left when the process ends."""
        with suppress(OSError):  # the supervisor is gone
            self._tell(b"0", {"phase": Phase.STOPPING, "settled": True})

    def _run(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                for line in stream:
                    number, _, question = line.strip().partition(b" ")
                    self._tell(number, self._answer(question))
        except OSError:  # gone while it was being answered
            pass
        self._end()

    def _tell(self, number: bytes, report: Report) -> None:
        with self._writing:
            self._socket.sendall(b"%s %s\n" % (number, json.dumps(report, default=str).encode()))

    def _answer(self, question: bytes) -> Report:
        vitals = self._vitals()
        verb, _, rest = question.partition(b" ")
        if verb == b"stop":
            self._stop()
        if vitals is None:
            return {"phase": Phase.STARTING, "live": True, "pid": os.getpid()}
        if verb == b"end":
            return {**vitals.beat(), "ended": vitals.ending.ask(json.loads(rest))}
        return vitals.status() if verb == b"status" else vitals.beat()

    def _end(self) -> None:
        vitals = self._vitals()
        grace = GRACE_SECONDS if vitals is None else vitals.grace_period
        os.kill(os.getpid(), signal.SIGTERM)
        ending = threading.Event()  # never set: tasks may have changed time.sleep
        ending.wait(DEAF_SECONDS)
        if vitals is not None and vitals.phase is Phase.RUNNING:
            self._stop()
        ending.wait(grace + END_SECONDS)
        os._exit(ORPHANED_EXIT)
