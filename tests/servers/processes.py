"""Servers as child processes on free ports of the loopback, which end with their parent."""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 180.0
"""For servers that start while a busy machine runs other tests."""
STOP_SECONDS = 10.0
UNPRIVILEGED = "nobody"
"""Whom servers run as that refuse to be root's."""
_PR_SET_PDEATHSIG = 1


def free_port(*, companion: int = 0) -> int:
    """Return a free port; the port that is `companion` higher is free, too."""
    while True:
        # Below what the system hands out for outgoing connections, so that none takes it meanwhile.
        port = random.randrange(20_000, 32_000)
        if is_free(port) and (not companion or is_free(port + companion)):
            return port


def is_free(port: int) -> bool:
    """Return whether no process listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as a server does that restarts
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def die_with_parent() -> None:
    """Have this process killed when the thread that started it ends; for `preexec_fn`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def unprivileged() -> str | None:
    """Return the user for servers that refuse to run as root; None if the tests do not run as root."""
    return UNPRIVILEGED if os.geteuid() == 0 else None


@contextmanager
def private_folder(name: str, user: str | None = None) -> Iterator[Path]:
    """Yield a folder that `user` can reach, unlike pytest's own, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"asynctasq-{name}-"))
    try:
        if user:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ServerProcess:
    """One process, with its output in a file. It ends with the thread that starts it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command = list(command)
        self.folder = folder
        self.user = user
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process while it runs, as far as its parent has been told."""
        return None if self._process is None else self._process.pid

    def start(self, is_up: Callable[[], bool]) -> None:
        """Start it, and return when it answers."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                user=self.user,
                extra_groups=None if self.user is None else [],
                # After the change of the user, which would clear it.
                preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing that takes locks
            )
        deadline = time.monotonic() + START_SECONDS
        while not is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.command[0]} does not start: {self.output()[-2000:]}")
            time.sleep(0.01)

    def run(self, *command: str) -> None:
        """Run a program that prepares for it, as the same user, to its end."""
        subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            user=self.user,
            extra_groups=None if self.user is None else [],
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
        )

    def output(self) -> str:
        """Return the output so far."""
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

    def resume(self) -> None:
        """Let it go on after SIGSTOP. Does nothing if it has ended."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
