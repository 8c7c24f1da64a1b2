"""Protection against processes that a task forks and that would continue as a second worker.

Such a process is a copy of the worker, or of a child, with the thread of the task only. It shares the files of
the event loop, the signal handlers and the connection to the worker. It may run as long as it stays in
the code of the task, as processes of `multiprocessing` do.
"""

import asyncio
import logging
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger("asynctasq")

FORKED_EXIT = 70
"""Exit code of a fork that returned from the code of its task (`EX_SOFTWARE`)."""


class Forks:
    """The forks on the way to this process: if `depth` grows, it was forked by a task."""

    def __init__(self) -> None:
        self.depth = 0
        """Number of forks between the process that first imported this module and this one."""
        self._undo: list[Callable[[], None]] = []
        self._masks = threading.local()

    @contextmanager
    def undone_by(self, undo: Callable[[], None]) -> Iterator[None]:
        """Call `undo` in each process that is forked inside the block, before its own code runs."""
        self._undo.append(undo)
        try:
            yield
        finally:
            if undo in self._undo:
                self._undo.remove(undo)

    def hold_signals(self) -> None:
        """Block signals before a fork, so that the new process receives none until it is separate."""
        if self._undo:
            self._masks.former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def release_signals(self) -> None:
        """Unblock signals after a fork."""
        if (former := self._masks.__dict__.pop("former", None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def begin(self) -> None:
        """Separate the new process from its parent. Called right after a fork."""
        self.depth += 1
        undo, self._undo = self._undo, []
        for each in undo:
            try:
                each()
            except Exception:
                logger.exception("Could not separate a process that a task forked from its worker")
        self.release_signals()

    def end(self) -> None:
        """Exit this process, because the code of the task has returned in it."""
        logger.error(
            "Process %d, which a task forked, returned from the code of the task; exiting it. Call os._exit() "
            "in it, or use subprocess or multiprocessing.",
            os.getpid(),
        )
        os._exit(FORKED_EXIT)


forks = Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=forks.hold_signals,
        after_in_parent=forks.release_signals,
        after_in_child=forks.begin,
    )


@contextmanager
def forks_of_loop() -> Iterator[None]:
    """Keep processes that are forked inside the block from using the running loop and its signals.

    They share the files by which other threads and signals wake the loop. A byte that the fork read would
    be lost for its parent, which might then sleep forever. A signal to the fork, such as `multiprocessing`
    sends to terminate it, would reach the loop of the parent.
    """
    loop = asyncio.get_running_loop()
    thread = threading.get_ident()

    def undo() -> None:
        with suppress(ValueError):  # not in a subinterpreter
            signal.set_wakeup_fd(-1)
        if threading.get_ident() == thread:  # other threads do not run the loop
            _look_at_nothing(loop)
            loop.call_soon(forks.end)

    with forks.undone_by(undo):
        yield


def _look_at_nothing(loop: asyncio.AbstractEventLoop) -> None:
    """Make a loop wait for no file; in its next turn it runs the callbacks that are due."""
    if not hasattr(select, "epoll"):  # kqueues are not inherited
        return
    backend = getattr(loop, "_get_backend_id", None)  # uvloop's
    fd = backend() if backend else getattr(loop, "_selector").fileno()  # noqa: B009  not public
    with select.epoll() as nothing:
        os.dup2(nothing.fileno(), fd, inheritable=False)
