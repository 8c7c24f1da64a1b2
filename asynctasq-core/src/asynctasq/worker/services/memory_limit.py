"""The memory limit: a worker that has grown too large stops, and its supervisor starts another."""

import asyncio
import logging
import resource
import sys
from pathlib import Path

from asynctasq.worker.fetcher import Fetcher
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.services.service import Failed, OnFailure
from asynctasq.worker.timing import MemoryTiming

logger = logging.getLogger("asynctasq")


def resident_bytes() -> int:
    """Return the resident memory of this process; its peak where the system shows no more (macOS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()


class MemoryLimit:
    """Stops fetching when the process has grown larger than `max_memory`.

    Running tasks end first: their memory may be what the process needs.
    """

    name = "the memory limit"
    on_failure = OnFailure.CONTINUE

    def __init__(self, options: WorkerOptions, fetcher: Fetcher, timing: MemoryTiming) -> None:
        """Make the limit; nothing is checked yet."""
        self._options = options
        self._fetcher = fetcher
        self._timing = timing
        self._checking: asyncio.Task[None] | None = None

    async def start(self, failed: Failed) -> None:
        """Check from now on, if there is a limit."""
        if self._options.max_memory is not None:
            self._checking = asyncio.create_task(self._check(self._options.max_memory, failed))

    async def stop(self) -> None:
        """Stop checking."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _check(self, limit: int, failed: Failed) -> None:
        try:
            used = resident_bytes()
            while used <= limit:
                await asyncio.sleep(self._timing.check)
                used = resident_bytes()
        except Exception as error:  # noqa: BLE001  passed on
            failed(error)
            return
        if not self._fetcher.stopping:
            logger.warning(
                "Worker %s exceeded max_memory (%d MB > %d MB); shutting down",
                self._options.worker_id,
                used // 2**20,
                limit // 2**20,
                extra={"worker_id": self._options.worker_id},
            )
            self._fetcher.stop()
