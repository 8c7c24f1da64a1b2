"""What a task must not do to the event loop that it shares with its worker and all other tasks."""

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asynctasq.tasks.context import running_task

GUARDED = ("stop", "set_task_factory", "shutdown_default_executor")


@contextmanager
def guarded_loop() -> Iterator[None]:
    """Refuse these to tasks of workers, so that one who tries has failed and nobody else is hurt.

    (Where workers share a loop, the first to end takes the guard along.)
    """
    loop = asyncio.get_running_loop()
    names = [name for name in GUARDED if name not in getattr(loop, "__dict__", {name})]
    for name in names:
        setattr(loop, name, _refused_to_tasks(getattr(loop, name)))
    try:
        yield
    finally:
        for name in names:
            delattr(loop, name)


def _refused_to_tasks(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if running_task.get(None) is not None:
            raise RuntimeError(
                f"A task called {method.__name__}() of the event loop, which belongs to its worker and "
                f"to all other tasks."
            )
        return method(*args, **kwargs)

    return guarded
