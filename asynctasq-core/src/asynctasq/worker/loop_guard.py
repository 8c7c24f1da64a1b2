"""Protection of the event loop from its tasks, which share it with the worker and all other tasks."""

import asyncio
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asynctasq.tasks.context import running_task

logger = logging.getLogger("asynctasq")

GUARDED = ("stop", "set_task_factory", "shutdown_default_executor")


@contextmanager
def guarded_loop() -> Iterator[None]:
    """Refuse the methods in `GUARDED` to tasks: a task that calls one fails, and other tasks go on.

    Where workers share a loop, the guard ends with the first of them.
    """
    loop = asyncio.get_running_loop()
    names = [name for name in GUARDED if name not in getattr(loop, "__dict__", {name})]
    for name in names:
        setattr(loop, name, _refused_to_tasks(getattr(loop, name)))
    try:
        with _guarded_sigchld():
            yield
    finally:
        for name in names:
            delattr(loop, name)


def _refused_to_tasks(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if running_task.get(None) is not None:
            raise RuntimeError(
                f"A task must not call {method.__name__}() of the event loop, which it shares with its "
                f"worker and all other tasks."
            )
        return method(*args, **kwargs)

    return guarded


@contextmanager
def _guarded_sigchld() -> Iterator[None]:
    """Keep the handler of SIGCHLD, by which the loop learns that a subprocess has ended.

    While that signal is ignored, the system forgets how subprocesses ended, and code that waits for them
    waits for ever. Restoring the handler a second later would be too late. Processes that a task has forked
    may change the handler.

    This replaces the function below `signal.signal`, because a module may have imported that by name.
    """
    module: Any = sys.modules.get("_signal", signal)
    change, own = module.signal, os.getpid()
    if threading.current_thread() is not threading.main_thread() or hasattr(change, "guarded"):
        yield
        return

    @functools.wraps(change)
    def guarded(number: int, handler: Any) -> Any:
        if number != signal.SIGCHLD or running_task.get(None) is None or os.getpid() != own:
            return change(number, handler)
        logger.warning(
            "A task tried to change this process's handler of SIGCHLD; kept it, because the worker and other "
            "tasks wait for subprocesses"
        )
        return signal.getsignal(number)

    guarded.guarded = True  # type: ignore[attr-defined]  # to find it again
    module.signal = guarded
    try:
        yield
    finally:
        if module.signal is guarded:
            module.signal = change
