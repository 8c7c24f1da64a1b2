"""How the interpreter is set while a worker runs in it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from asynctasq.garbage import collected_rarely

TURN_SECONDS = 0.0005


@contextmanager
def tuned_interpreter() -> Iterator[None]:
    """Fit Python's defaults to a loop that makes and drops a few dozen objects thousands of times a second.

    - No thread keeps the global lock for longer than half a millisecond while others want it. By default
      it is 5 ms: as long as the loop takes for two hundred short tasks, or as a task in a thread that
      computes may keep the loop waiting. A store that works in a thread, as sqlite does, loses its turn at
      each call into its library.
    - What is there when the worker starts, modules above all, is left out of the garbage collector's
      rounds, which otherwise take a seventh of all time; and rounds are rarer, as hardly any garbage here
      is cyclic.

    What was set to more already stays. (Where workers overlap in one process, the first to end ends the
    short turns for all.)
    """
    turn = sys.getswitchinterval()
    sys.setswitchinterval(min(turn, TURN_SECONDS))
    gc.freeze()
    try:
        with collected_rarely():
            yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(turn)
