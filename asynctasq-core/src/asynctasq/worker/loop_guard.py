"""What a task must not do to the event loop that it shares with its worker and all other tasks."""

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
    """Refuse these to tasks of workers, so that one who tries has failed and nobody else is hurt.

    (Where workers share a loop, the first to end takes the guard along.)
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
                f"A task called {method.__name__}() of the event loop, which belongs to its worker and "
                f"to all other tasks."
            )
        return method(*args, **kwargs)

    return guarded


@contextmanager
def _guarded_sigchld() -> Iterator[None]:
    """Keep the handler of SIGCHLD, by which the loop learns that a subprocess has ended.

    While that signal is ignored, the system forgets how subprocesses ended, and those who wait for them wait
    for ever. It would be too late to take the handler back a second later. Processes that a task has forked
    may do as they like.

    It is the function below `signal.signal` that is replaced, because a module may have imported that by name.
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
            "A task tried to change this process's handler of SIGCHLD; it was left as it is, because the "
            "worker and other tasks wait for subprocesses."
        )
        return signal.getsignal(number)

    guarded.guarded = True  # type: ignore[attr-defined]  # to find it again
    module.signal = guarded
    try:
        yield
    finally:
        if module.signal is guarded:
            module.signal = change
