"""The channel from a supervisor to a worker process: a socket with health questions, whose end stops the worker."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.hookspecs import hookimpl
from asynctasq.worker.health import WORKING, Phase, Report, WorkerHealth
from asynctasq.worker.life import GRACE_SECONDS
from asynctasq.worker.timing import ControlTiming

ORPHANED_EXIT = 75
"""Exit code of a worker that did not stop in time after its supervisor had died (`EX_TEMPFAIL`)."""


class SupervisorChannel:
    """The worker's end of the channel: a thread that answers questions, even if the event loop is blocked.

    When the supervisor has ended for any reason, the worker stops gracefully, or is ended after a time.
    """

    def __init__(
        self,
        fd: int,
        health: Callable[[], WorkerHealth | None],
        *,
        stop: Callable[[], None],
        timing: ControlTiming | None = None,
    ) -> None:
        """Take over the socket.

        Args:
            fd: descriptor of the socket.
            health: of the worker; None while it starts.
            stop: has the effect of SIGTERM, from any thread.
            timing: durations.
        """
        self._timing = timing or ControlTiming()
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._health = health
        self._stop = stop
        self._writing = threading.Lock()

    def open(self) -> None:
        """Start answering."""
        threading.Thread(target=self._run, name="asynctasq-control", daemon=True).start()

    @hookimpl
    def worker_started(self) -> None:
        """Report the start unasked, before the first task runs: a task may end this process at once."""
        with suppress(OSError):  # the supervisor has ended
            health = self._health()
            owner = {} if health is None else {"owner": health.owner}
            self._send(b"0", {"phase": Phase.RUNNING, **owner})

    @hookimpl(trylast=True)
    def worker_stopped(self) -> None:
        """Report that all tasks are settled, so no leases are left when the process ends, and what was counted."""
        with suppress(OSError):  # the supervisor has ended
            health = self._health()
            retired = health is not None and health.request is WorkerRequest.STOP
            last = {} if health is None else {"metrics": health.last_metrics()}
            self._send(b"0", {"phase": Phase.STOPPING, "settled": True, "retired": retired, **last})

    def _run(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                for line in stream:
                    number, _, question = line.strip().partition(b" ")
                    self._send(number, self._answer(question))
        except OSError:  # the supervisor ended before it had the answer
            pass
        self._stop_process()

    def _send(self, number: bytes, report: Report) -> None:
        with self._writing:
            self._socket.sendall(b"%s %s\n" % (number, json.dumps(report, default=str).encode()))

    def _answer(self, question: bytes) -> Report:
        health = self._health()
        verb, _, rest = question.partition(b" ")
        if verb == b"stop":
            self._stop()
        if health is None:
            return {"phase": Phase.STARTING, "live": True, "pid": os.getpid()}
        if verb == b"end":
            return {**health.beat(), "ended": health.ending.ask(json.loads(rest))}
        if verb == b"metrics":
            return {**health.beat(), "metrics": health.metrics()}
        return health.status() if verb == b"status" else health.beat()

    def _stop_process(self) -> None:
        health = self._health()
        grace = GRACE_SECONDS if health is None else health.grace_period
        os.kill(os.getpid(), signal.SIGTERM)
        ending = threading.Event()  # never set: tasks may have changed `time.sleep`
        ending.wait(self._timing.ignored)
        if health is not None and health.phase in WORKING:
            self._stop()
        ending.wait(grace + self._timing.end)
        os._exit(ORPHANED_EXIT)
