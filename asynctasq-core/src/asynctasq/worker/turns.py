"""How soon the threads of a worker's process take turns."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.0005


@contextmanager
def short_turns() -> Iterator[None]:
    """Let no thread keep Python's global lock for longer than half a millisecond while others want it.

    By default it is 5 ms: as long as the loop takes for some two hundred short tasks, or as a task in a
    thread that computes may keep the loop waiting, at every turn. A store that works in a thread, as
    sqlite does, loses its turn at each call into its library. (Workers that overlap in one process may
    leave the short turns behind, which harms nobody.)
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
