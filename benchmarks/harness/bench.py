"""The tools of measurements: child processes, folders, and a record of every run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.harness.figures import Figure
from benchmarks.harness.scale import Scale
from benchmarks.harness.stores import Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """One run of a program, and how busy the machine was."""

    measurement: str
    program: str
    load_before: float
    others: float | None
    """Processors that others used meanwhile."""

    @property
    def noisy(self) -> bool:
        """Judged by what others used, where that is known: our own last run raises the load, too."""
        if self.others is not None:
            return self.others > machine.OTHERS_TOO_BUSY
        return self.load_before > machine.LOAD_TOO_HIGH


class Bench:
    """One session of measuring."""

    def __init__(self, scale: Scale, folder: Path, *, environments: Path) -> None:
        self.scale = scale
        self.environments = environments
        """The folder in which peers are installed."""
        self.figures: list[Figure] = []
        self.runs: list[Run] = []
        self.peers: dict[str, Any] = {}
        self.measurement = ""
        self._folder = folder

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield a new folder, removed afterwards, so that every run has fresh files on the same disk."""
        path = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    @contextmanager
    def new_store(self, store: Store) -> Iterator[str]:
        """Yield the URL of an empty store."""
        with self.folder() as folder:
            yield store.new_url(folder)

    def run(
        self,
        program: str,
        *,
        python: Path | str = sys.executable,
        beside: Sequence[int] = (),
        **parameters: object,
    ) -> dict[str, Any]:
        """Run a program of `benchmarks/programs` in a child process and return its answer.

        `beside` are processes of ours that work for it meanwhile.
        """
        with self.watched(program, beside=beside), self.folder() as folder:
            done = subprocess.run(
                self.command(program, python, parameters),
                cwd=folder,
                env=environment(),
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: see above.")
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    @contextmanager
    def watched(self, program: str, *, beside: Sequence[int] = ()) -> Iterator[None]:
        """Record a run, and the load of the machine."""
        load = machine.load_average()
        before = sum(map(machine.cpu_seconds, beside))
        watch = machine.Watch()
        yield
        others = watch.others(tuple(beside), before)
        self.runs.append(Run(self.measurement, program, load, others))

    @contextmanager
    def started(
        self, command: Sequence[str], *, end: signal.Signals = signal.SIGTERM
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process during the block, and stop it afterwards."""
        with self.folder() as folder, (folder / "log").open("w+b") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(end)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.returncode not in {0, -end, -signal.SIGKILL}:
                    log.seek(0)
                    sys.stderr.write(log.read().decode(errors="replace"))

    def command(self, program: str, python: Path | str, parameters: dict[str, object]) -> list[str]:
        module = f"benchmarks.programs.{program}"
        return [str(python), "-m", module, json.dumps(parameters)]

    def add(self, figure: Figure) -> None:
        """One more figure. It is noisy if one run of its measurement was."""
        noisy = any(run.noisy for run in self.runs if run.measurement == self.measurement)
        self.figures.append(replace(figure, noisy=noisy))

    def say(self, text: str) -> None:
        """Print the name of the measurement."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "scale": asdict(self.scale),
            "peers": self.peers,
            "figures": [figure.as_json() for figure in self.figures],
            "runs": [asdict(run) | {"noisy": run.noisy} for run in self.runs],
        }


def worker_command(url: str, *options: str) -> list[str]:
    """Return the worker command that users run, with the tasks of `benchmarks/tasks.py`."""
    command = [sys.executable, "-m", "asynctasq.cli", "worker", "--app", "benchmarks.tasks"]
    return [*command, "--driver", url, *options]


def environment() -> dict[str, str]:
    """Return the environment of every process, without the user's own settings."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("ASYNCTASQ_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
