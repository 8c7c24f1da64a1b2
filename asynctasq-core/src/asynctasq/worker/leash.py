"""What ties a worker process to its supervisor: a socket on which it is asked how it is, and whose end is its own."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from asynctasq.worker.health import Phase, Report, Vitals

ORPHANED_EXIT = 75
"""Exit code of a worker that did not end by itself when its supervisor had died (`EX_TEMPFAIL`)."""
GRACE_SECONDS = 30.0
"""What a worker gets that has not told its own grace period yet."""
END_SECONDS = 30.0
"""What it gets beyond that to settle and close."""


class Leash:
    """The worker's side: a thread that answers questions, whatever the event loop does.

    When the supervisor is gone, however it died, the worker stops gracefully; one that does not is
    ended.
    """

    def __init__(self, fd: int, vitals: Callable[[], Vitals | None]) -> None:
        """Take over the socket.

        Args:
            fd: of the socket.
            vitals: of the worker; None while it starts.
        """
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._vitals = vitals

    def hold(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._run, name="asynctasq-leash", daemon=True).start()

    def _run(self) -> None:
        try:
            with self._socket.makefile("rwb") as stream:
                for line in stream:
                    number, _, question = line.strip().partition(b" ")
                    answer = json.dumps(self._answer(question), default=str).encode()
                    stream.write(b"%s %s\n" % (number, answer))
                    stream.flush()
        except OSError:  # gone while it was being answered
            pass
        self._end()

    def _answer(self, question: bytes) -> Report:
        vitals = self._vitals()
        if vitals is None:
            return {"phase": Phase.STARTING, "live": True, "pid": os.getpid()}
        return vitals.status() if question == b"status" else vitals.beat()

    def _end(self) -> None:
        vitals = self._vitals()
        grace = GRACE_SECONDS if vitals is None else vitals.grace_period
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace + END_SECONDS)
        os._exit(ORPHANED_EXIT)
