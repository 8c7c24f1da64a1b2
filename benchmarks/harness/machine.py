"""The machine: what it is, and how busy others keep it."""

import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("asynctasq", "msgpack", "orjson", "pluggy", "uvloop")
LOAD_TOO_HIGH = 1.5
OTHERS_TOO_BUSY = 0.3
"""Processors that others used during a run, on average."""
_TICK = os.sysconf("SC_CLK_TCK")


def describe(folder: Path) -> dict[str, Any]:
    """Machine and versions, and how long the disk takes to make a write certain."""
    release = ".".join(platform.release().split(".")[:2])
    return {
        "system": f"{platform.system()} {release} {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "file_system": _file_system(folder),
        "sync_ms": round(sync_seconds(folder) * 1e3, 3),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def sync_seconds(folder: Path, *, samples: int = 25) -> float:
    """Return the median time of appending 4 KiB to a file and syncing it."""
    path = folder / "sync"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(samples):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    return statistics.median(taken)


class Watch:
    """From when it is made: how many processors are busy with what is neither us nor our children."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._all = _busy_seconds()
        self._own = _own_seconds()

    def others(self, running: tuple[int, ...] = (), before: float = 0.0) -> float | None:
        """Processors, on average; None where the system does not tell.

        Args:
            running: children that have not ended, whose time the system has not yet added to ours.
            before: what those had used when this watch was made.
        """
        elapsed = time.monotonic() - self._begun
        if self._all is None or elapsed <= 0:
            return None
        busy = (_busy_seconds() or 0.0) - self._all
        own = _own_seconds() - self._own + sum(map(cpu_seconds, running)) - before
        return max(0.0, (busy - own) / elapsed)


def cpu_seconds(pid: int, *, exited_children: bool = False) -> float:
    """Return the processor time of a process so far, system and user, all threads.

    Args:
        pid: a process; none is used if it has exited.
        exited_children: add the time of its children that have exited.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if exited_children else 13])) / _TICK


def resident_mib(pid: int | str = "self") -> float:
    """Memory of a process that is not swapped out."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _busy_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, soft_irq, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft_irq + steal) / _TICK


def _own_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _file_system(folder: Path) -> str:
    command = ["df", "--output=fstype", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split()[-1] if done.stdout else "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def warn(text: str) -> None:
    """Print a message for the user."""
    print(f"WARNING: {text}", file=sys.stderr, flush=True)
