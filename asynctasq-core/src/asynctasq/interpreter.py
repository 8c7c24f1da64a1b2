"""Settings of Python's interpreter for the time in which thousands of tasks are dispatched or run."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.0005
"""Time for which a thread may keep the global lock while others wait for it."""
YOUNG_OBJECTS = 5_000
"""Threshold of the youngest generation: above the number of objects that live for a moment while messages
are made or tasks run, and low enough that garbage is collected soon."""


class _Tuning:
    """Interpreter settings that are changed while at least one caller needs them, and restored afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0
        self._turn = 0.0
        self._young = 0

    def begin(self) -> None:
        with self._lock:
            self._asking += 1
            if self._asking > 1:
                return
            self._turn = sys.getswitchinterval()
            sys.setswitchinterval(min(self._turn, TURN_SECONDS))
            self._young, *older = gc.get_threshold()
            if 0 < self._young < YOUNG_OBJECTS:  # 0 is never, which is rare enough
                gc.set_threshold(YOUNG_OBJECTS, *older)

    def end(self) -> None:
        with self._lock:
            self._asking -= 1
            if not self._asking:
                sys.setswitchinterval(self._turn)
                gc.set_threshold(self._young, *gc.get_threshold()[1:])


_tuning = _Tuning()
"""Shared by the whole process, like the settings."""


@contextmanager
def tuned_interpreter() -> Iterator[None]:
    """Fit Python's defaults to a loop that makes and drops a few dozen objects thousands of times a second.

    - No thread keeps the global lock for longer than half a millisecond while others want it. By default
      it is 5 ms: as long as the loop takes for two hundred short tasks, or as a task in a thread that
      computes may keep the loop waiting. A store that works in a thread, as sqlite does, loses its turn at
      each call into its library.
    - The garbage collector runs less often, because hardly any garbage here is cyclic.

    A higher threshold stays as it is. The former settings are restored when the last block ends.
    """
    _tuning.begin()
    try:
        yield
    finally:
        _tuning.end()


@contextmanager
def frozen_modules() -> Iterator[None]:
    """Exclude all existing objects, above all modules, from garbage collection within the block.

    In a worker, scanning them would take a seventh of the time. A program that has frozen objects itself keeps
    them frozen.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
