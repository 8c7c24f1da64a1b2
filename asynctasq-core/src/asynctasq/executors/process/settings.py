"""What the process executor is told when it is made, and what it tells each child."""

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from asynctasq.records import record


@record
class ProcessSettings:
    """The keys of the dict that `create_executor` of the plugin `process` takes."""

    size: int | None = None
    """Children; None for one per processor that this process may use."""
    max_tasks_per_child: int | None = None
    """Runs after which a child is replaced."""
    max_memory: int | None = None
    """Bytes of resident memory after which a child is replaced, once its task has ended."""
    initializer: str | None = None
    """`module:function`, called without arguments in each child before its first task."""
    warm: bool = False
    """Start the children with the worker, rather than when the first task needs one."""
    loop: str = "uvloop"
    """Event loop of the children: `uvloop`, where it is installed, or `asyncio`."""
    bootstrap: str = "asynctasq.worker.process.child_app:bootstrap"
    """`module:function` that makes a child's `ChildApplication` of what follows."""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What msgpack can carry."""

    @property
    def children(self) -> int:
        """How many there are to be."""
        return self.size or processors()


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
