"""The folder of the demo, and its worker process."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from asynctasq.errors import ConfigurationError

T = TypeVar("T")

SETTINGS = """\
# Settings of this folder, for `asynctasq worker` and for programs that run here.
# After 2 seconds, another worker picks up the tasks of a dead worker. The default is longer.
ASYNCTASQ_LEASE=2
"""
COMMAND = ("worker", "--app", "tasks")
STOP_SECONDS = 15.0


class DemoFailed(Exception):
    """The demo did not go as expected."""


class Workspace:
    """The folder of the demo, with at most one worker process."""

    def __init__(self, folder: Path | None) -> None:
        """Create the folder.

        Args:
            folder: a new or empty folder; None for a temporary one.

        Raises:
            ConfigurationError: the folder is not empty or cannot be created.
        """
        self.folder = _created(folder)
        self.store = self.folder / "asynctasq.db"
        self.log = self.folder / "worker.log"
        self._worker: Process | None = None

    def enter(self) -> None:
        """Write the files and make the folder the current one, without settings from outside."""
        shutil.copyfile(Path(__file__).with_name("tasks.py"), self.folder / "tasks.py")
        (self.folder / ".env").write_text(SETTINGS, encoding="utf-8")
        for name in [each for each in os.environ if each.startswith("ASYNCTASQ_")]:
            del os.environ[name]
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))

    async def start_worker(self) -> int:
        """Start a worker process and return its PID."""
        with self.log.open("ab") as log:
            self._worker = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "asynctasq", *COMMAND],
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        return self._worker.pid

    async def kill_worker(self) -> None:
        """Kill the worker with SIGKILL, so that it cannot clean up."""
        worker, self._worker = self._worker, None
        assert worker is not None, "start_worker() comes first"
        worker.kill()
        await worker.wait()

    async def while_worker_runs(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step of the demo.

        Raises:
            DemoFailed: the worker has exited before the step has finished.
        """
        assert self._worker is not None, "start_worker() comes first"
        running = asyncio.ensure_future(step)
        exited = asyncio.ensure_future(self._worker.wait())
        try:
            await asyncio.wait([running, exited], return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise DemoFailed(f"The worker exited with code {exited.result()}.")
            return await running
        finally:
            running.cancel()
            exited.cancel()

    async def stop_worker(self) -> int | None:
        """Stop the worker with SIGTERM and return its exit code; None if there is none."""
        worker, self._worker = self._worker, None
        if worker is None or worker.returncode is not None:
            return None
        worker.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await worker.wait()
        except TimeoutError:
            worker.kill()
            return await worker.wait()

    def last_log_lines(self) -> list[str]:
        """Return the end of the worker's log."""
        if not self.log.exists():
            return []
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]


def _created(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="asynctasq-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        first = next(folder.iterdir(), None)
    except OSError as error:
        raise ConfigurationError(f"--folder {folder}: {error.strerror}.") from error
    if first is not None:
        raise ConfigurationError(f"--folder {folder} must be empty, but contains {first.name}.")
    return folder.resolve()
