"""The worker processes of a storm. Those that end are replaced."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.inside.app import ADDRESS, STORE
from tests.chaos.kinds import OWN_QUEUES, QUEUES
from tests.chaos.ledger import FOLDER, read_started
from tests.chaos.report import Report
from tests.servers.processes import die_with_parent

MARK = "CHAOS_MARK"
"""Environment variable of every process of a storm, with any parent."""
ROOT = Path(__file__).parents[2]
ENDING_SECONDS = 45.0
RECOVERY_SECONDS = 20.0
EXITED_BY_TASK = 9


@dataclass
class Member:
    """One command, and the process that runs it at the moment."""

    queue: str
    """A queue that only this member serves."""
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    sent: Counter[signal.Signals] = field(default_factory=Counter[signal.Signals])

    @property
    def is_supervisor(self) -> bool:
        """True if the process supervises worker processes."""
        return "--processes" in self.arguments

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal, if there is one."""
        if self.process is not None and self.process.poll() is None:
            self.sent[number] += 1
            self.process.send_signal(number)


class WorkerFleet:
    """Two plain workers, and a supervisor with two worker processes."""

    def __init__(self, folder: Path, environment: Mapping[str, str], report: Report) -> None:
        self._folder = folder
        self._report = report
        self._mark = uuid.uuid4().hex
        self._output = (folder / "workers.log").open("ab")
        self._environment = {
            **os.environ,
            **environment,
            MARK: self._mark,
            FOLDER: str(folder),
            "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
        }
        self.interpreter = _interpreter(folder / "environment")
        self.members = [
            Member(OWN_QUEUES[0], []),
            Member(OWN_QUEUES[1], []),
            Member(OWN_QUEUES[2], ["--processes", "2"]),
        ]

    def recruit(self) -> None:
        """Start the members that have no process."""
        for each in self.members:
            if each.process is not None and each.process.poll() is not None:
                self._judge(each)
                each.process = None
            if each.process is None and self.interpreter.exists():
                self._start(each)

    def _start(self, member: Member) -> None:
        queues = ",".join((*QUEUES, member.queue))
        with suppress(OSError):  # the interpreter has just been removed
            member.process = subprocess.Popen(
                [
                    str(self.interpreter),
                    *("-m", "asynctasq.cli", "worker", "--app", "tests.chaos.inside.app:app"),
                    *("--concurrency", "25", "--queues", queues, "--log-level", "info"),
                    *member.arguments,
                ],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing that takes locks
            )
            member.started_at = time.monotonic()
            member.sent.clear()
            self._report.workers_started += 1

    def _judge(self, member: Member) -> None:
        """Record a process that ended, and a problem if nothing explains its exit code."""
        assert member.process is not None
        code = member.process.returncode
        age = time.monotonic() - member.started_at
        if code == 0 and signal.SIGTERM in member.sent:
            return
        if (
            code == -signal.SIGTERM and member.sent[signal.SIGTERM] > 1
        ):  # the second at its very end
            return
        self._report.workers_lost += 1
        if code == -signal.SIGKILL and signal.SIGKILL in member.sent:
            return
        if code == EXITED_BY_TASK and not member.is_supervisor:
            return
        if member.process.pid not in read_started(self._folder):
            self._report.remarks[f"a worker could not start (exit code {code})"] += 1
            return
        names = ", ".join(sorted(each.name for each in member.sent.elements())) or "no signal"
        self._report.problems.append(
            f"worker of {member.queue} (PID {member.process.pid}) ended with exit code {code} after "
            f"{age:.0f} s and {names}"
        )

    async def recovered(self) -> None:
        """Return when most members are ready to work, or after a while.

        Workers that are ended faster than they start would run nothing.
        """
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            started = read_started(self._folder)
            ready = [each for each in self.members if each.process and each.process.pid in started]
            if len(ready) >= len(self.members) - 1:
                return
            await asyncio.sleep(0.1)

    def pids(self) -> list[int]:
        """Return the processes that run tasks: plain and supervised workers."""
        found: list[int] = []
        for each in self.members:
            if each.process is not None and each.process.poll() is None:
                pid = each.process.pid
                found += children(pid) if each.is_supervisor else [pid]
        return found

    def supervisors(self) -> list[int]:
        """Return the processes that supervise others and run no tasks."""
        return [
            each.process.pid
            for each in self.members
            if each.is_supervisor and each.process is not None and each.process.poll() is None
        ]

    def supervised(self) -> list[int]:
        """Return the worker processes of the supervisor."""
        return [child for pid in self.supervisors() for child in children(pid)]

    def task_children(self) -> list[int]:
        """Return the processes that run process tasks."""
        return [child for pid in self.pids() for child in children(pid)]

    def wake(self) -> None:
        """Let everything go on that was stopped or limited."""
        for pid, _ in self._marked():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(most, 256), most))

    def dismiss(self) -> None:
        """Stop all members. Other exit codes than 0, and processes that stay, are problems."""
        self.wake()
        for each in self.members:
            each.send(signal.SIGTERM)
        deadline = time.monotonic() + ENDING_SECONDS
        for each in self.members:
            if each.process is None:
                continue
            try:
                code = each.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self._report.problems.append(f"worker of {each.queue} did not stop at SIGTERM")
                continue
            if code != 0:
                self._report.problems.append(
                    f"worker of {each.queue} ended with exit code {code} at SIGTERM"
                )
        while (left := list(self._marked())) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._report.problems += [f"process {pid} was left behind: {text}" for pid, text in left]

    def close(self) -> None:
        """End every process of the storm."""
        while left := list(self._marked()):
            for pid, _ in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for each in self.members:
            if each.process is not None:
                each.process.wait()
        self._output.close()

    def _marked(self) -> Iterator[tuple[int, str]]:
        mark = f"{MARK}={self._mark}".encode()
        for each in Path("/proc").iterdir():
            if each.name.isdigit():
                with suppress(OSError):
                    if mark in (each / "environ").read_bytes().split(b"\0"):
                        command = (each / "cmdline").read_bytes().replace(b"\0", b" ")
                        yield int(each.name), command.decode(errors="replace").strip()


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def worker_environment(store: str, address: str) -> dict[str, str]:
    """Return the variables that select the store of workers."""
    return {STORE: store, ADDRESS: address}


def _interpreter(folder: Path) -> Path:
    """Create an interpreter for the storm that can be removed: an environment with a single link."""
    (folder / "bin").mkdir(parents=True)
    prefix = Path(sys.prefix)
    if (prefix / "pyvenv.cfg").exists():
        shutil.copy(prefix / "pyvenv.cfg", folder)
    (folder / "lib").symlink_to(prefix / "lib")
    python = folder / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return python
