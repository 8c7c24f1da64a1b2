"""Where the demo plays: a folder with a store, and worker processes that come and go."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

SETTINGS = """\
# Settings of this folder, read by `asynctasq worker` and by programs that run here.
# Messages of a worker that died go to another after 2 seconds, so that you need not wait.
ASYNCTASQ_LEASE=2
"""
WORKER = ["worker", "--app", "tasks", "--queues", "letters:1,default"]
STOP_SECONDS = 15.0


class Unexpected(Exception):
    """Something did not come out as promised."""


class Stage:
    """The folder of the demo and its one worker at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "asynctasq.db"
        self.log = folder / "worker.log"
        self._worker: Process | None = None

    def build(self) -> None:
        """Write the files, and make the folder the current one, as if the user worked there."""
        shutil.copyfile(Path(__file__).with_name("tasks.py"), self.folder / "tasks.py")
        (self.folder / ".env").write_text(SETTINGS, encoding="utf-8")
        for name in [each for each in os.environ if each.startswith("ASYNCTASQ_")]:
            del os.environ[name]
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))

    async def start_worker(self) -> int:
        """Start a worker process; returns its id."""
        with self.log.open("ab") as log:
            self._worker = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "asynctasq.cli", *WORKER],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        return self._worker.pid

    async def worker_ended(self) -> None:
        """Raise when the worker ends by itself; never returns.

        Raises:
            Unexpected: it has.
        """
        assert self._worker is not None, "start_worker() comes first"
        code = await self._worker.wait()
        raise Unexpected(f"the worker process ended with code {code}; see {self.log}")

    async def kill_worker(self) -> None:
        """End the worker with SIGKILL: it has no moment to put anything in order."""
        assert self._worker is not None, "start_worker() comes first"
        self._worker.kill()
        await self._worker.wait()
        self._worker = None

    async def stop_worker(self) -> int | None:
        """Ask the worker to stop, as a supervisor does; returns its exit code."""
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

    def last_lines(self) -> list[str]:
        """The end of the worker's log."""
        if not self.log.exists():
            return []
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
