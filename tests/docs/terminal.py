"""A terminal for the commands of a document, each in its own process."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECONDS = 40.0
"""For any command; they take less than one on a machine that is not busy."""
FORKS = Path(__file__).with_name("forks.py")


class Terminal:
    """Starts commands in folders, and reads what they print."""

    def __init__(self) -> None:
        """Start the interpreter of which commands are forks."""
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**_plain_environment(), "COLUMNS": "100", "NO_COLOR": "1"},
        )
        assert self._receive() == {}

    def close(self) -> None:
        """End that interpreter."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(SECONDS)
        self._server.stdout.close()

    def start(self, argv: list[str], folder: Path) -> "Command":
        """Start a command; all its output goes to one file."""
        output = folder.parent / f"{folder.name}-{time.monotonic_ns()}.out"
        output.touch()
        answer = self.ask({"argv": argv, "folder": str(folder), "output": str(output)})
        return Command(self, argv, answer["pid"], output)

    def ask(self, request: dict[str, Any]) -> dict[str, int]:
        """Send one request, and wait for its answer."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return self._receive()

    def _receive(self) -> dict[str, int]:
        assert self._server.stdout is not None
        answer: dict[str, int] = json.loads(self._server.stdout.readline())
        return answer


class Command:
    """A command that was started."""

    def __init__(self, terminal: Terminal, argv: list[str], pid: int, output: Path) -> None:
        self._terminal = terminal
        self._pid = pid
        self._output = output
        self._code: int | None = None
        self.text = " ".join(argv)

    @property
    def output(self) -> str:
        """The output so far."""
        return self._output.read_text()

    def until_it_serves(self) -> None:
        """Wait until a worker has logged its start, and handles Ctrl-C."""
        deadline = time.monotonic() + SECONDS
        while " started (" not in self.output or not self._handles_signals():
            self._code = self._terminal.ask({"wait": self._pid, "now": True}).get("code")
            going_on = self._code is None and time.monotonic() < deadline
            assert going_on, f"`{self.text}` does not get ready:\n{self.output}"
            time.sleep(0.02)

    def _handles_signals(self) -> bool:
        """Return whether the process has set a handler for SIGTERM; workers set both at once."""
        try:
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:  # no Linux, or it has ended
            return True
        caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
        return caught is None or bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        if self._code is None:
            os.kill(self._pid, signal.SIGINT)

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        if self._code is not None:
            return self._code
        timer = threading.Timer(SECONDS, os.killpg, (self._pid, signal.SIGKILL))
        timer.start()
        try:
            self._code = self._terminal.ask({"wait": self._pid})["code"]
            return self._code
        finally:
            timer.cancel()
            timer.join()


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ASYNCTASQ_")}
