"""The child processes of workers, which run process tasks, as the system shows them."""

from contextlib import suppress
from pathlib import Path

CHILD_MODULE = b"asynctasq.executors.process.main"
"""Part of their command."""


def children_in(group: int) -> list[int] | None:
    """Return the child processes of workers in a process group; None where the system does not show them."""
    if not Path("/proc/self/stat").exists():
        return None
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) != group or state in "ZX":
                continue
            if CHILD_MODULE in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found
