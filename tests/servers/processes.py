"""Servers as child processes on free ports of the loopback, which end with whoever started them."""

import ctypes
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


def free_port(*, companion: int = 0) -> int:
    """A port that nobody listens on, and neither on the one that is `companion` higher."""
    while True:
        # Below what the system hands out for outgoing connections, so that none takes it meanwhile.
        port = random.randrange(20_000, 32_000)
        if _is_free(port) and (not companion or _is_free(port + companion)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ServerProcess:
    """One process, with its output in a file."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command = list(command)
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, is_up: Callable[[], bool]) -> None:
        """Start it, and return when it answers."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - nothing that takes locks
            )
        deadline = time.monotonic() + START_SECONDS
        while not is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.command[0]} does not start: {self.output()[-2000:]}")
            time.sleep(0.01)

    def output(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it. Does nothing if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send(self, number: int) -> None:
        """Send it a signal (SIGSTOP, say)."""
        assert self._process is not None
        self._process.send_signal(number)
