"""Settings of the process executor, and of its children."""

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from asynctasq.records import record


@record
class ProcessSettings:
    """Settings of the executor `process`; `create_executor` receives them as a dict."""

    size: int | None = None
    """Number of children; None for one per processor that this process may use."""
    max_tasks_per_child: int | None = None
    """Number of runs after which a child is replaced."""
    max_memory: int | None = None
    """Bytes of resident memory after which a child is replaced, once its task has ended."""
    initializer: str | None = None
    """`module:function`, called without arguments in each child before its first task."""
    warm: bool = False
    """Start the children with the worker, rather than when the first task needs one."""
    loop: str = "uvloop"
    """Event loop of the children: `uvloop`, where it is installed, or `asyncio`."""
    bootstrap: str = "asynctasq.worker.process.child_app:bootstrap"
    """`module:function` that creates the `ChildApplication` of a child from `arguments`."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of the bootstrap function, of types that msgpack has."""

    @property
    def children(self) -> int:
        """Number of children."""
        return self.size or processors()


def processors() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
