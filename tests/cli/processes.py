"""Real `asynctasq` processes for tests, and waiting for their output."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from asynctasq.worker.timing import SignalTiming

DEADLINE_SECONDS = 40.0
"""Time limit for events that take a second or two on an idle machine."""
COMMAND = [sys.executable, "-X", "faulthandler", "-m", "asynctasq.cli"]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def asynctasq(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in the current folder."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


async def run_program(*command: str) -> str:
    """Run a Python program in the current folder and return its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", *command, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
    assert process.returncode == 0
    return output.decode()


class WorkerProcess:
    """An `asynctasq worker` process, or that of another command, by default in the current folder."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        command: str = "worker",
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, command, *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "".join(self._lines)

    @property
    def code(self) -> int | None:
        """Exit code, or None while the process runs."""
        return self._process.poll()

    async def told(self, text: str) -> None:
        """Wait until the process has printed a text."""
        await until(
            lambda: text in self.output or self._process.poll() is not None,
            f"{text!r} in:\n{self.output}",
        )
        if text not in self.output:
            await self.ended()  # its last words may just have been on the way
        assert text in self.output, self.output

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def send_again(self, number: signal.Signals) -> None:
        """Send a signal that the worker does not take for a repeated one."""
        await asyncio.sleep(SignalTiming().echo)
        self.send(number)

    async def ended(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        await until(lambda: self._process.poll() is not None, f"the end of:\n{self.output}")
        self._reader.join()
        assert self._process.returncode is not None
        return self._process.returncode

    def close(self) -> None:
        """Kill the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
