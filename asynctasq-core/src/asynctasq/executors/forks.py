"""What becomes of a process that a task forks.

It is a copy of the worker, or of a child, that has the task's thread only: it shares the event loop's
files, the handlers of signals and the connection to whoever waits for an answer. As long as it stays in
the task's code, as those of `multiprocessing` do, it may live. It must not go on as a second worker.
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
"""Exit code of a fork that has come out of its task's code (`EX_SOFTWARE`)."""


class Forks:
    """Of this process, which is one of them if `depth` grows."""

    def __init__(self) -> None:
        self.depth = 0
        """How often the process that first imported this has been forked on the way to here."""
        self._undo: list[Callable[[], None]] = []
        self._masks = threading.local()

    @contextmanager
    def undone_by(self, undo: Callable[[], None]) -> Iterator[None]:
        """Call `undo` in each process that is forked meanwhile, before its own code runs."""
        self._undo.append(undo)
        try:
            yield
        finally:
            if undo in self._undo:
                self._undo.remove(undo)

    def hold_signals(self) -> None:
        """A fork is about to be made: it shall hear signals only once it is on its own."""
        if self._undo:
            self._masks.former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def release_signals(self) -> None:
        """It has been made."""
        if (former := self._masks.__dict__.pop("former", None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def begin(self) -> None:
        """This process has just been forked."""
        self.depth += 1
        undo, self._undo = self._undo, []
        for each in undo:
            try:
                each()
            except Exception:
                logger.exception("A process that a task has forked keeps what is its worker's.")
        self.release_signals()

    def end(self) -> None:
        """End this process, in which code of a task was over although that runs in another."""
        logger.error(
            "A process that a task has forked (%d) has come out of the task's code and ends: end it by "
            "os._exit(), or use subprocess or multiprocessing.",
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
    """Let no process that is forked meanwhile go on with the running loop, nor hear signals for it.

    They share the files by which other threads, and signals, wake the loop. What the fork took from there
    would be lost to its parent, which might sleep for ever; and a signal to the fork, such as
    `multiprocessing` sends to end one, would reach the parent's loop.
    """
    loop = asyncio.get_running_loop()
    thread = threading.get_ident()

    def undo() -> None:
        with suppress(ValueError):  # not in a subinterpreter
            signal.set_wakeup_fd(-1)
        if threading.get_ident() == thread:  # others left the loop behind
            _look_at_nothing(loop)
            loop.call_soon(forks.end)

    with forks.undone_by(undo):
        yield


def _look_at_nothing(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop wait for no file at all, until its next turn at which it runs what is due."""
    if not hasattr(select, "epoll"):  # kqueues are not inherited
        return
    backend = getattr(loop, "_get_backend_id", None)  # uvloop's
    fd = backend() if backend else getattr(loop, "_selector").fileno()  # noqa: B009  not public
    with select.epoll() as nothing:
        os.dup2(nothing.fileno(), fd, inheritable=False)
