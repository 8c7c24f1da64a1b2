"""A worker process as its supervisor sees it; when it has died, another takes its number."""

import asyncio
import json
import math
import signal
import time
from contextlib import suppress

from asynctasq.worker.health import WORKING, Report
from asynctasq.worker.life import GRACE_SECONDS
from asynctasq.worker.timing import WorkerTiming


class WorkerProcess:
    """A numbered place for a worker process, which is started again whenever it has died."""

    def __init__(self, number: int, timing: WorkerTiming | None = None) -> None:
        self._timing = timing or WorkerTiming()
        self.number = number
        self.restarts = 0
        self.pid: int | None = None
        """Process ID of the current process, or of the last one."""
        self.grace_period = GRACE_SECONDS
        self.stall_limit = self._timing.supervisor.silent_start
        self.killed_because = ""
        self.stop_sent_at = math.inf
        """Monotonic time at which the process was sent the signal to stop."""
        self.ran = False
        """True once the process has run tasks."""
        self.owner = ""
        """Owner of its leases; empty until the process has reported it."""
        self.settled = False
        """True once the process has reported that it holds no leases."""
        self.retired = False
        """True once the process has reported that an operator stopped it, so that it is not replaced."""
        self.metrics: Report | None = None
        """The last report of its metrics."""
        self.metrics_at = 0.0
        """Monotonic time of that report."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asking = asyncio.Lock()
        self._questions = 0
        self._killing: asyncio.TimerHandle | None = None

    def begin(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Note a process that has been started."""
        self._process, self._reader, self._writer = process, reader, writer
        self.pid = process.pid
        self.stall_limit = self._timing.supervisor.silent_start
        self.killed_because = ""
        self.stop_sent_at = math.inf
        self.ran = self.settled = self.retired = False
        self.owner = ""
        self.metrics, self.metrics_at = None, time.monotonic()

    def end(self) -> None:
        """Note that the process has ended."""
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None
        if self._writer is not None:
            self._writer.close()
        self._process = self._reader = self._writer = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self, because: str = "") -> None:
        """End the process at once."""
        self.killed_because = because
        self.send(signal.SIGKILL)

    def kill_in(self, seconds: float) -> None:
        """End the process unless it ends within some seconds."""
        if self._killing is not None:
            self._killing.cancel()
        self._killing = asyncio.get_running_loop().call_later(
            seconds, self.kill, f"did not end within {seconds:.3g} s and was killed"
        )

    async def ask(self, question: str) -> Report | None:
        """Ask the process, and return its answer; None if none comes in time."""
        async with self._asking:
            reader, writer = self._reader, self._writer
            if reader is None or writer is None:
                return None
            self._questions += 1
            try:
                async with asyncio.timeout(self._timing.supervisor.answer):
                    writer.write(b"%d %s\n" % (self._questions, question.encode()))
                    await writer.drain()
                    while line := await reader.readline():
                        number, _, answer = line.partition(b" ")
                        report = self._note(json.loads(answer))
                        if int(number) == self._questions:  # others are late, or were sent unasked
                            return report
            except (OSError, ValueError):  # a TimeoutError is one
                pass
            return None

    async def has_run(self) -> bool:
        """Check whether the process got as far as running tasks; call this when it has ended."""
        if self._reader is not None:
            with suppress(OSError, ValueError):  # a TimeoutError, as a fork of it may live on
                async with asyncio.timeout(self._timing.supervisor.last_reports):
                    while line := await self._reader.readline():
                        self._note(json.loads(line.partition(b" ")[2]))
        return self.ran

    def ignores_stop(self) -> bool:
        """Check whether the process has ignored the signal to stop for too long."""
        return time.monotonic() - self.stop_sent_at > self._timing.control.ignored

    def _note(self, report: Report) -> Report:
        self.ran = self.ran or report.get("phase") in WORKING
        self.settled = self.settled or report.get("settled", False)
        self.retired = self.retired or report.get("retired", False)
        self.owner = report.get("owner", self.owner)
        self.grace_period = report.get("grace_period", self.grace_period)
        self.stall_limit = report.get("stall_limit", self.stall_limit)
        if "metrics" in report:
            self.metrics = {**report["metrics"], "number": self.number}
            self.metrics_at = time.monotonic()
        return report
