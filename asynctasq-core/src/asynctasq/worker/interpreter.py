"""How the interpreter is set while a worker runs in it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.0005
YOUNG_OBJECTS = 5_000


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

    What was set to more already stays. (Where workers overlap in one process, the first to end ends this
    for all.)
    """
    turn, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(min(turn, TURN_SECONDS))
    if gc.isenabled() and 0 < thresholds[0] < YOUNG_OBJECTS:
        gc.set_threshold(YOUNG_OBJECTS, *thresholds[1:])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(turn)
