"""The first process of a container, whose duties a worker cannot fulfill."""

import os
import signal
import sys
from contextlib import suppress

FIRST_PID = 1
PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGWINCH,
)


def be_init_if_first() -> None:
    """Fork if this is process 1; returns in the fork, or at once in any other process.

    Process 1 adopts every process whose parent has ended, and must wait for it. A worker cannot do that
    without taking the exit status of programs that its tasks wait for. So process 1 becomes an init: it
    passes signals on, waits for all processes that end, and exits with the exit code of the worker.
    """
    if os.getpid() == FIRST_PID and hasattr(signal, "sigwait"):
        awaited = {*PASSED_ON, signal.SIGCHLD}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
        worker = os.fork()
        if worker == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        code = _wait_for(worker, awaited)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def _wait_for(worker: int, awaited: set[signal.Signals]) -> int:
    """Pass on signals until the worker ends; return its exit code, as shells write that of a killed process."""
    while True:
        received = signal.sigwait(awaited)
        if received is not signal.SIGCHLD:
            with suppress(ProcessLookupError):
                os.kill(worker, received)
        while True:  # several ends may be one signal, and one may hide behind another
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == 0:
                break
            if ended == worker:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
